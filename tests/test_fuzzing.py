"""Whatever a file says, reading it ends in what it means or in one sentence; nothing else comes of it."""

import copy
import json
import shutil
import sqlite3
import string
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rich.console import Console

from cotutor import TrainConfig
from cotutor.cli import main
from cotutor.climb import parse_ladder
from cotutor.compare.recipe import parse_recipe
from cotutor.config import from_values, from_yaml, to_yaml, validate
from cotutor.errors import UserError
from cotutor.inspect import evaluate_run, replays_of_run
from cotutor.report import write_report
from cotutor.runs.checkpoint import CHECKSUMS, STATE, Stopped, checksums, whole
from cotutor.runs.folder import RunFolder
from cotutor.shipped import read
from cotutor.text import plain, shortened, well_formed
from cotutor.train import resume, train

FUZZ = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)
FEW = settings(FUZZ, max_examples=40)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))


SMALL = from_values(
    {
        "task": "toy:FrozenLake",
        "teacher": "bow",
        "frames": 512,
        "threads": 1,
        "eval_episodes": 2,
        "teacher_eval_episodes": 2,
        "agreement_states": 4,
        "replays": 1,
        "ppo": {"steps": 8},
    }
)


def places(value: Any, here: tuple = ()) -> Iterator[tuple]:
    """Yields the way to every value inside a nested one."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield (*here, key)
        yield from places(each, (*here, key))


@st.composite
def spoilt(draw: st.DrawFn, value: Any) -> Any:
    """Draws a nested value in which one place or two hold something else, are gone, or have another name."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 2))):
        *way, last = draw(st.sampled_from([*places(value)] or [()])) or [None]
        parent = value
        for key in way:
            parent = parent[key]
        what = draw(st.sampled_from(["another", "gone", "renamed"]))
        if last is None:
            return draw(VALUES)
        old = parent.pop(last)
        if what == "another" or (what == "renamed" and isinstance(parent, list)):
            new = draw(VALUES)
            parent.insert(last, new) if isinstance(parent, list) else parent.update({last: new})
        elif what == "renamed":
            parent[draw(TEXTS)] = old
    return value


@st.composite
def damaged(draw: st.DrawFn, sound: bytes) -> bytes:
    """Draws a file that is cut off somewhere, or of which one byte is another."""
    place, change, cut = draw(st.integers(0, len(sound) - 1)), draw(st.integers(1, 255)), draw(st.booleans())
    return sound[:place] if cut else sound[:place] + bytes([sound[place] ^ change]) + sound[place + 1 :]


def one_sentence_or(act: Callable[[], Any]) -> Any:
    """Returns what comes of it; an error must be one sentence."""
    try:
        return act()
    except UserError as error:
        words = str(error)
        assert words.endswith((".", ")")) or "cotutor resume" in words
        assert "\n" not in words and "Traceback" not in words
        assert len(words) > 20
        return None


@FUZZ
@given(spoilt(yaml.safe_load(to_yaml(TrainConfig()))))
def test_a_configuration(values):
    config = one_sentence_or(lambda: from_values(values))
    if config is not None:
        one_sentence_or(lambda: validate(config))


@FUZZ
@given(st.binary(max_size=60) | TEXTS.map(str.encode))
def test_a_configuration_of_any_bytes(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_bytes(content)
    one_sentence_or(lambda: from_yaml(path))


@FUZZ
@given(st.integers(0, 10**9), st.floats(0, 1), st.text(string.printable, max_size=20), st.lists(TEXTS, max_size=3))
def test_a_configuration_is_read_as_it_was_written(tmp_path_factory, seed, enough, task, rehearse):
    config = TrainConfig(task=task, seed=seed, enough=enough, rehearse=tuple(rehearse), run_dir=Path("runs/a b"))
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")
    assert from_yaml(path) == config


@pytest.mark.parametrize(
    ("kind", "name", "parse"),
    [
        ("recipe", "controls", parse_recipe),
        ("recipe", "plans", parse_recipe),
        ("recipe", "bad-teachers", parse_recipe),
        ("ladder", "babyai", parse_ladder),
        ("ladder", "balrog", parse_ladder),
    ],
)
def test_a_recipe_or_ladder(kind, name, parse):
    @FEW
    @given(spoilt(yaml.safe_load(read(kind, name)[1])))
    def try_one(values):
        one_sentence_or(lambda: parse("mine", yaml.safe_dump(values)))

    try_one()


@FUZZ
@given(TEXTS)
def test_any_text_is_no_recipe_and_no_ladder(text):
    assert one_sentence_or(lambda: parse_recipe("mine", text)) is None
    assert one_sentence_or(lambda: parse_ladder("mine", text)) is None


@FUZZ
@given(st.text(max_size=300), st.integers(4, 40))
def test_texts(text, most):
    cut = shortened(text, most)
    assert len(cut) <= most or cut == text
    assert well_formed(cut).encode("utf-8").decode("utf-8") == well_formed(well_formed(cut))
    assert plain(plain(text)) == plain(text)
    assert not set(plain(text)) & {"\x1b", "\x00", "\r", "\u202e", "\ud800"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a finished run."""
    path = tmp_path_factory.mktemp("finished") / "run"
    train(replace(SMALL, run_dir=path), Console(quiet=True))
    write_report(path)
    assert evaluate_run(path, 1)
    assert replays_of_run(path, None)
    return path


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A copy of it that may be spoilt."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def use(run: Path) -> None:
    """Does all that can be done with a finished run."""
    one_sentence_or(lambda: write_report(run))
    one_sentence_or(lambda: evaluate_run(run, 1))
    one_sentence_or(lambda: replays_of_run(run, None))


@pytest.mark.parametrize("name", ["summary.json", "replays.json", "dialogue/state.json", "config.yaml"])
def test_a_run_with_another_file(run, name):
    text = (run / name).read_text(encoding="utf-8")
    write = yaml.safe_dump if name.endswith("yaml") else json.dumps

    @settings(FUZZ, max_examples=25)
    @given(spoilt(yaml.safe_load(text)))
    def try_one(values):
        (run / name).write_text(write(values), encoding="utf-8")
        use(run)

    try_one()


@pytest.mark.parametrize(
    "name",
    ["summary.json", "replays.json", "dialogue/state.json", "dialogue/memory.safetensors", "student.safetensors"],
)
def test_a_run_with_a_damaged_file(run, name):
    sound = (run / name).read_bytes()

    @settings(FUZZ, max_examples=15)
    @given(damaged(sound))
    def try_one(content):
        (run / name).write_bytes(content)
        use(run)

    try_one()


def test_a_run_with_a_damaged_ledger(run):
    ledger = RunFolder(run).ledger
    sound = ledger.read_bytes()

    @settings(FUZZ, max_examples=40)
    @given(damaged(sound))
    def try_one(content):
        ledger.write_bytes(content)
        one_sentence_or(lambda: write_report(run))

    try_one()


@pytest.mark.parametrize("column", ["options", "calibrated", "revised", "visits", "advantage", "context", "trust"])
def test_a_ledger_that_says_something_else(run, column):
    @settings(FUZZ, max_examples=15)
    @given(st.none() | TEXTS | VALUES.map(json.dumps))
    def try_one(value):
        with sqlite3.connect(RunFolder(run).ledger) as database:
            try:
                database.execute(f"UPDATE consultations SET {column} = ?", (value,))
            except sqlite3.IntegrityError:
                return
        database.close()
        one_sentence_or(lambda: write_report(run))

    try_one()


def stopping_after(rounds: int):
    """Returns what takes the place of Ctrl-C: a run is asked to stop when so many rounds are over."""

    @contextmanager
    def stoppable(say):
        asked = iter([False] * rounds)
        yield lambda: next(asked, True)

    return stoppable


def test_a_forged_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr("cotutor.train.stoppable", stopping_after(3))
    path = tmp_path / "run"
    with pytest.raises(Stopped):
        train(replace(SMALL, run_dir=path), Console(quiet=True))
    (written,) = whole(RunFolder(path))
    state = json.loads((written / STATE).read_text())
    monkeypatch.setattr("cotutor.train.stoppable", stopping_after(0))

    @FEW
    @given(spoilt(state))
    def try_one(values):
        shutil.rmtree(tmp_path / "forged", ignore_errors=True)
        forged = RunFolder(Path(shutil.copytree(path, tmp_path / "forged")))
        (checkpoint,) = whole(forged)
        (checkpoint / STATE).write_text(json.dumps(values))
        (checkpoint / CHECKSUMS).write_text(json.dumps(checksums(checkpoint)))
        with suppress(Stopped):
            one_sentence_or(lambda: resume(forged.path, Console(quiet=True)))

    try_one()


def no_number(word: str) -> bool:
    try:
        return float(word) != float(word)
    except ValueError:
        return True


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0-"), min_size=1, max_size=12).filter(no_number)


@pytest.mark.parametrize(
    "command",
    [
        ["train", "--frames", "8", "--task"],
        ["train", "--frames", "8", "--task", "toy:FrozenLake", "--method"],
        ["train", "--frames", "8", "--task", "toy:FrozenLake", "--teacher"],
        ["train", "--task", "toy:FrozenLake", "--frames"],
        ["train", "--config"],
        ["resume"],
        ["evaluate"],
        ["replay"],
        ["report"],
        ["ask"],
        ["compare"],
        ["climb"],
        ["check"],
        [],
    ],
    ids=" ".join,
)
def test_a_command_with_any_word(command, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    @settings(FUZZ, max_examples=12)
    @given(WORDS)
    def try_one(word):
        monkeypatch.setattr("sys.argv", ["cotutor", *command, word])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr().err
        assert ended.value.code == 2, (word, said)
        assert said
        assert "Traceback" not in said
        assert not any(tmp_path.iterdir())

    try_one()
