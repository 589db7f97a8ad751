"""The command as a person uses it: what it prints, writes and returns."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from cotutor.cli import main

COTUTOR = Path(sys.executable).parent / "cotutor"
QUICK = [
    "--threads",
    "1",
    "--frames",
    "1024",
    "--eval-episodes",
    "16",
    "--teacher-eval-episodes",
    "8",
    "--agreement-states",
    "16",
]


def cotutor(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COTUTOR, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=200)


def test_the_version_is_the_project_s():
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    done = cotutor("--version")
    assert (done.returncode, done.stdout) == (0, f"cotutor {project['version']}\n")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "x"
    done = cotutor("train", *QUICK, "--seed", 0, "--run-dir", folder)
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
    assert "frames" in done.stdout
    return folder


def test_train_writes_the_run_without_any_pickle(run):
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "ledger.sqlite", "summary.json", "student.safetensors", "teacher", "report.html"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    for path in run.rglob("*"):
        assert path.suffix not in {".pkl", ".pt", ".pth", ".bin", ".zip"}
    summary = json.loads((run / "summary.json").read_text())
    assert summary["frames"] == 1024
    assert set(summary["frames_to_success"]) == {"0.5", "0.75", "0.9", "0.95"}


def test_evaluate_measures_the_same_pair_again(run):
    done = cotutor("evaluate", run, "--episodes", 16, "--json")
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    summary = json.loads((run / "summary.json").read_text())
    assert set(outcomes) == {"pair", "student", "teacher", "untaught", "bot"}
    assert outcomes["bot"]["success"] == 1.0
    assert outcomes["student"]["success"] == summary["student_success"]
    assert outcomes["pair"]["success"] == summary["pair_success"]


def test_evaluate_measures_a_run_on_another_task_of_its_kind(run):
    done = cotutor("evaluate", run, "--on", "babyai:GoToLocal+synonyms", "--episodes", 4, "--json")
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    assert set(outcomes) == {"pair", "student", "teacher", "untaught", "bot"}
    assert outcomes["bot"]["success"] == 1.0
    refused = cotutor("evaluate", run, "--on", "varied:Fetch2")
    assert refused.returncode == 2
    assert "is not observed like" in refused.stderr


def test_ask_shows_a_state(run):
    done = cotutor("ask", run, "--env-seed", 3, "--step", 2, "--json")
    assert done.returncode == 0, done.stderr
    inquiry = json.loads(done.stdout)
    assert inquiry["context"].startswith("Mission: go to the red ball.")
    assert [row["phrase"] for row in inquiry["options"]] == ["turn left", "turn right", "go forward"]
    for column in ("raw", "calibrated", "revised"):
        assert sum(row[column] for row in inquiry["options"]) == pytest.approx(1)
    told = cotutor("ask", run).stdout
    assert "turn left" in told
    in_context, overall = map(float, re.search(r"trust (\S+) in this context, (\S+) in all", told).groups())
    assert 0 <= in_context <= overall <= 1


def test_yaml_and_flags_give_the_same_configuration(run, tmp_path):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"method": "ppo", "frames": 64, "ppo": {"envs": 2, "steps": 32}}))
    common = ["--eval-episodes", "4", "--threads", "1"]
    by_file = cotutor("train", "--config", tmp_path / "c.yaml", *common, "--run-dir", tmp_path / "a")
    flags = ["--method", "ppo", "--frames", "64", "--ppo.envs", "2", "--ppo.steps", "32"]
    by_flags = cotutor("train", *flags, *common, "--run-dir", tmp_path / "b")
    assert by_file.returncode == by_flags.returncode == 0, by_file.stderr + by_flags.stderr
    first, second = (yaml.safe_load((tmp_path / name / "config.yaml").read_text()) for name in "ab")
    assert {**first, "run_dir": None} == {**second, "run_dir": None}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--task", "babyai:GoToRedBal"], "GoToRedBall"),
        (["train", "--method", "mutal"], "mutual"),
        (["train", "--teacher", "gpt9"], "smollm2"),
        (["train", "--teacher", "openai:tiny@http://127.0.0.1:9/v1", "--served.retries", "0"], "There is no server"),
        (["train", "--frames", "-5"], "at least"),
        (["train", "--ppo.gamma", "1.5"], "between 0 and 1"),
        (["train", "--task", "minigrid:DoorKey-8x8", "--teacher", "oracle"], "expert"),
        (["train", "--config", "/nowhere.yaml"], "cannot be read"),
        (["train", "--config="], "cannot be read"),
        (["train", "--zoo="], "cannot be read"),
        (["train", "--zoo"], "--zoo needs the name"),
        (["evaluate", "/nowhere"], "summary.json"),
        (["check-task", "babyai:Nothing"], "Nothing"),
        (["check-task", "babyai:GoToLocal", "--states", "0"], "at least 1"),
        (["check-task", "babyai:GoToLocal", "--states", "30", "--teacher", "oracle"], "reads no contexts"),
        (["replay", "/nowhere"], "summary.json"),
        (["replay", "/nowhere", "--delay", "0"], "must be positive"),
        (["compare", "nothing"], "no recipe nothing"),
        (["compare", "quick", "--methods", "magic"], "no method 'magic'"),
        (["compare", "quick", "--jobs", "-1"], "at least 0"),
        (["compare", "quick", "--tables-only", "--out", "/nowhere"], "no runs in"),
        (["train", "--method", "llm-policy", "--teacher", "bow"], "needs a language model"),
        (["train", "--no-such-flag"], "no-such-flag"),
        (["train", "--task", "varied:Fetch2", "--plans.enabled"], "no memory"),
        (["climb", "nothing"], "no ladder nothing"),
        (["climb", "babyai", "--method", "bc"], "has no method 'bc'"),
        (["climb", "babyai", "--rungs", "99"], "99 cannot be climbed"),
        (["train", "--teacher", "bow", "--start", "/nowhere"], "summary.json"),
        (["train", "--method", "hints", "--rehearse", "babyai:GoToObj"], "cannot rehearse"),
        (["train", "--task", "babyai:GoToLocal+loud"], "no variation 'loud'"),
        (["nonsense"], "nonsense"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, words, tmp_path, monkeypatch, capsys):
    """In this process: that the command hands over its exit code is seen below."""
    folder = ["--run-dir", str(tmp_path / "x")] if arguments[0] == "train" else []
    monkeypatch.setattr(sys, "argv", ["cotutor", *arguments, *folder])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert ended.value.code == 2, printed.err
    assert words in printed.err + printed.out
    assert "Traceback" not in printed.err
    assert not (tmp_path / "x").exists()


def test_the_command_hands_over_its_exit_code():
    done = cotutor("evaluate", "/nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_recipe_says_what_it_will_cost(tmp_path):
    done = cotutor("compare", "quick", "--dry-run", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "20 runs are left" in done.stdout
    assert not (tmp_path / "out").exists()


def test_a_finished_run_is_watched(run, tmp_path):
    shown = cotutor("replay", run, "--episodes", "1")
    assert shown.returncode == 0, shown.stderr
    assert "episode 1 of 1" in shown.stdout
    film = cotutor("replay", run, "--episodes", "1", "--film", tmp_path / "film.gif")
    assert film.returncode == 0, film.stderr
    assert (tmp_path / "film.gif").read_bytes().startswith(b"GIF89a")


def test_a_run_folder_that_exists_is_left_alone(run):
    before = (run / "summary.json").read_bytes()
    done = cotutor("train", "--run-dir", run)
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert (run / "summary.json").read_bytes() == before


def test_unknown_keys_in_yaml_are_errors(tmp_path):
    (tmp_path / "c.yaml").write_text("ppo: {lerning_rate: 1}\n")
    done = cotutor("train", "--config", tmp_path / "c.yaml")
    assert done.returncode == 2
    assert "lerning_rate" in done.stderr


def test_whoever_has_read_enough_ends_the_output_without_an_error():
    command = f"{Path(sys.executable).with_name('cotutor')} tasks"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} | true"], check=True, capture_output=True, text=True
    )
    assert done.stderr == ""


def test_tasks_are_listed():
    assert "babyai:GoToRedBallNoDists" in cotutor("tasks").stdout.splitlines()


def test_a_check_shows_what_a_teacher_would_say_untaught():
    flags = ["check-task", "babyai:GoToRedBallNoDists", "--states", 200, "--teacher", "bow"]
    told = json.loads(cotutor(*flags, "--json").stdout)
    assert len(told["advice"]) == len(told["examples"]) == 10
    for advice in told["advice"]:
        assert list(advice) == ["turn left", "turn right", "go forward"]
        assert sum(advice.values()) == pytest.approx(1)
    assert cotutor(*flags).stdout.count(" · ") == 20


def test_a_task_is_checked():
    check = json.loads(cotutor("check-task", "babyai:GoToRedBallNoDists", "--states", 200, "--json").stdout)
    assert check["broken"] == {}
    assert check["contexts"] < 30
    assert 0.8 < check["ceiling"] <= 1.0
    assert "every state reads the same" not in cotutor("check-task", "toy:FrozenLake", "--states", 50).stdout


def test_a_task_that_says_the_same_of_every_state_is_told_so(tmp_path):
    own = tmp_path / "own.py"
    own.write_text(
        "import cotutor, gymnasium\n"
        "class Lake(cotutor.Task):\n"
        "    actions = ('left', 'down', 'right', 'up')\n"
        "    def make_env(self):\n"
        "        return gymnasium.make('FrozenLake-v1')\n"
        "    def describe(self, observation):\n"
        "        return 'Cross the lake.'\n"
    )
    said = cotutor("check-task", f"{own}:Lake", "--states", 60).stdout
    assert "every state reads the same" in said
    assert re.search(r"by chance \d of \d+ episodes succeed, \d earn a reward", said)


def test_a_task_of_ones_own_that_breaks_the_contract_is_told_how(tmp_path):
    own = tmp_path / "own.py"
    own.write_text(
        "import gymnasium, cotutor\n"
        "class Pole(cotutor.Task):\n"
        "    actions = ('left', 'right')\n"
        "    def make_env(self):\n"
        "        self.env = gymnasium.make('CartPole-v1')\n"
        "        return self.env\n"
        "    def describe(self, observation):\n"
        "        return f'The cart is at {self.env.unwrapped.state[0]}.'\n"
    )
    done = cotutor("check-task", f"{own}:Pole", "--states", 100)
    assert done.returncode == 2
    assert "✗ the context depends on the observation alone" in done.stdout
    assert "breaks 1 of the 9 points" in done.stderr


def test_help_explains_every_field():
    done = cotutor("train", "--help")
    assert done.returncode == 0
    for words in (
        "--dialogue.depth",
        "Exchanges in a dialogue",
        "--lessons.anchor",
        "--trust.margin",
        "Environment steps",
    ):
        assert words in done.stdout
