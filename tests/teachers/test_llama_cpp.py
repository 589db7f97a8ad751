"""llama-cpp-python's server with the embedded model's own file, built by `make test-all` into a place of its own."""

from collections.abc import Iterator
from importlib.metadata import files
from pathlib import Path

import numpy as np
import pytest
import torch

from cotutor.config import ServedConfig
from cotutor.embedded import GGUF, PACKAGE, embedded_model
from cotutor.errors import UserError
from cotutor.scoring.served import letter
from cotutor.teachers.local import LocalConfig, LocalTeacher
from cotutor.teachers.served import ServedTeacher
from tests.teachers.server import running
from tests.teachers.test_served import OPTIONS, QUESTION, TEMPLATE

PYTHON = Path("build/llama/bin/python")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not PYTHON.exists(), reason="make test-all builds the server")]


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    (model,) = [file.locate() for file in files(PACKAGE) or [] if file.name == GGUF]
    command = [PYTHON, "-m", "llama_cpp.server", "--model", str(model), "--model_alias", "smollm2", "--n_ctx", "1024"]
    with running(command, tmp_path_factory.mktemp("llama") / "log") as url:
        yield url


def ask(url: str, **config) -> ServedTeacher:
    return ServedTeacher(f"smollm2@{url}", TEMPLATE, ServedConfig(timeout=120.0, concurrency=1, **config))


def test_letters_are_as_likely_as_for_the_same_model_here(url):
    asked = ask(url)
    assert asked.way is letter, "its echo stands at the wrong tokens, and is not believed"
    local = LocalTeacher(embedded_model(), config=LocalConfig(dtype="float32"))
    tokenizer = local.prompter.tokenizer
    choices = "A) turn left\nB) turn right\nC) go forward"
    context = TEMPLATE.replace("{context}", QUESTION.context)
    message = {"role": "user", "content": f"{context}\n{choices}\nAnswer with one letter."}
    tokens = tokenizer.apply_chat_template([message], add_generation_prompt=True, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logprobs_V = local.model(tokens).logits[0, -1].log_softmax(-1)
    top_V = logprobs_V.topk(20).values
    for score, name in zip(asked.score([QUESTION])[0], "ABC", strict=True):
        forms = [tokenizer(form, add_special_tokens=False)["input_ids"][0] for form in (name, f" {name}")]
        likely = [float(logprobs_V[token]) for token in forms if logprobs_V[token] >= top_V[-1]]
        # it computes with activations of eight bits
        assert score == pytest.approx(np.logaddexp.reduce(likely or [float(top_V[-1])]), abs=0.75)


def test_its_answers_can_be_held_to_a_schema(url):
    (scores_O,) = ask(url, how="schema", votes=4).score([QUESTION])
    votes_O = np.exp(scores_O) * (4 + 0.5 * len(OPTIONS)) - 0.5
    assert votes_O.sum() == pytest.approx(4), "an answer did not keep to the schema"


def test_its_echo_is_refused_where_nothing_else_is_wanted(url):
    with pytest.raises(UserError, match=r"--served\.how exact"):
        ask(url, how="exact")
