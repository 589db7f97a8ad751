"""A person at the terminal: what is asked, what is typed, what is shown."""

import io
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from cotutor.runs.folder import RunFolder
from cotutor.runs.ledger import read
from cotutor.teachers.human import LEAD, Human
from cotutor.types import Feedback, Option, Question

OPTIONS = (Option("turn left", 0), Option("turn right", 1), Option("go forward", 2))


@pytest.fixture
def person(monkeypatch):
    """Returns what makes a teacher of lines typed, and reads what it showed."""

    def make(*lines: str) -> tuple[Human, io.StringIO]:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        shown = io.StringIO()
        return Human(Console(file=shown, width=200)), shown

    return make


def ask(*contexts: str) -> list[Question]:
    return [Question(context, OPTIONS) for context in contexts]


def test_what_is_typed_is_the_advice_and_nothing_is_asked_twice(person):
    teacher, shown = person("3", "1 2", "")
    first, second, third = teacher.score(ask("ahead", "behind", "nowhere"))
    assert (first / LEAD).tolist() == [0, 0, 1]
    assert (second / LEAD).tolist() == [1, 1, 0]
    assert (third / LEAD).tolist() == [0, 0, 0]
    assert teacher.advice(ask("ahead"), [first])[0][2] == pytest.approx(0.91, abs=0.01)
    again = teacher.score(ask("behind", "ahead"))
    assert np.array_equal(again, [second, first])
    assert shown.getvalue().count("1 turn left  2 turn right  3 go forward") == 3


def test_what_is_no_number_of_an_option_is_asked_again(person):
    teacher, shown = person("4", "0", "left", "-1", "²", "3")
    [scores_O] = teacher.score(ask("ahead"))
    assert scores_O.argmax() == 2
    assert shown.getvalue().count("Type numbers from 1 to 3") == 5


@pytest.mark.parametrize("lines", [("3", "q"), ("3",)])
def test_who_goes_is_asked_no_more(person, lines):
    teacher, shown = person(*lines)
    scores = teacher.score(ask("ahead", "behind", "beside"))
    assert [scores_O.any() for scores_O in scores] == [True, False, False]
    assert "beside" not in shown.getvalue()


def test_a_context_is_text_and_no_command(person):
    teacher, shown = person("1")
    teacher.score([Question("[bold]go\x1b[2J\u202e", (Option("[red]left", 0), Option("right\x07", 1)))])
    assert "[bold]go\\u001b[2J\\u202e" in shown.getvalue()
    assert "1 [red]left  2 right\\u0007" in shown.getvalue()


def test_it_hears_what_came_of_its_advice(person):
    teacher, shown = person("3", "")
    ahead, unknown = ask("ahead", "nowhere")
    teacher.score([ahead, unknown])
    feedback = Feedback(np.array([4.0, 0.0, 9.0]), np.array([-0.2, 0.0, 0.31]), np.ones(3), np.zeros(3))
    teacher.hear(0.75, {ahead: feedback, unknown: feedback})
    told = shown.getvalue()
    assert "trusted 0.75" in told
    assert "turn left 4 (-0.20), go forward 9 (+0.31)" in told
    assert told.count("nowhere") == 1


def test_answers_are_kept(person, tmp_path):
    teacher, _ = person("3")
    teacher.score(ask("ahead"))
    teacher.save(tmp_path)
    other, shown = person()
    other.load(tmp_path)
    assert other.score(ask("ahead"))[0].argmax() == 2
    assert not shown.getvalue()


def test_a_run_asks_in_training_and_not_when_it_measures(tmp_path):
    run = tmp_path / "run"
    command = (
        "train --task babyai:GoToRedBallNoDists --teacher me --frames 4096 --ppo.steps 64 --asking.per-round 2 --seed 1"
        f" --eval-episodes 8 --teacher-eval-episodes 8 --agreement-states 8 --threads 1 --run-dir {run}"
    )
    typed = "3\n" * 4 + "q\n"
    done = subprocess.run(
        [sys.executable, "-m", "cotutor", *command.split()],
        input=typed, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Mission: go to the red ball") >= 5
    assert done.stdout.count("Enter: no idea") == 5
    assert "What came of your advice" in done.stdout
    rows = read(RunFolder(run).ledger, "SELECT count(*) AS n FROM consultations WHERE raw LIKE '%0.9%'")
    assert rows[0]["n"] == 4
