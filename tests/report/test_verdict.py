from dataclasses import replace

import pytest
from synthetic import MUTUAL, PPO

from cotutor.report import verdict
from cotutor.report.verdict import difference_is_clear, percent

NEVER = {"0.5": None, "0.75": None, "0.9": None, "0.95": None}
USELESS = replace(
    MUTUAL,
    teacher="random",
    pair_success=0.5,
    student_success=0.52,
    teacher_success_before=0.05,
    teacher_success_after=0.05,
    bot_agreement_before=0.3,
    bot_agreement_after=0.3,
    teacher_updates=0,
    trust=0.0,
)


@pytest.mark.parametrize("summary", [MUTUAL, PPO, USELESS])
def test_every_verdict_says_that_one_seed_proves_nothing(summary):
    said = verdict(summary)
    assert "proves nothing by itself" in said
    assert "cotutor compare" in said
    assert "\n" not in said


def test_ppo_speaks_of_no_teacher():
    said = verdict(PPO)
    assert "75% of 128 held-out episodes of babyai:GoToLocal" in said
    assert "first reached 75% at 30,720 frames and never 90%" in said
    for word in ("pair", "advice", "trust", "fine-tuned", "not measured"):
        assert word not in said
    assert said.count("teacher") == said.count("Without any teacher") == 1


def test_mutual_success():
    said = verdict(MUTUAL)
    assert "98% with the teacher's advice and in 89% alone" in said
    assert "first reached 95% at 31,744 frames." in said
    assert "the pair can do what the student alone cannot yet" in said
    assert "After 10 updates" in said
    assert "can do what it could not before" in said
    assert "61% (before: 12%)" in said
    assert "81% (before: 44%) of a fixed set of states (at most 86% is possible" in said
    assert "the advice, with the student's feedback in it, was worth following (trust ended at 0.83 of 1)" in said


def test_useless_teacher():
    said = verdict(USELESS)
    assert "not measurably better than the student alone" in said
    assert "was not worth following (trust ended at 0.00 of 1)" in said
    assert "in 40 rounds none was due or told it anything new" in said
    assert "so by itself it can do what it could before" in said
    assert "5%, as before, of its own" in said


def test_pair_worse_than_student_alone():
    said = verdict(replace(MUTUAL, pair_success=0.4, student_success=0.9))
    assert "The pair does worse than the student alone" in said


def test_a_difference_within_noise_is_not_claimed():
    said = verdict(replace(MUTUAL, pair_success=0.92, student_success=0.89))
    assert "not measurably better" in said
    assert "cannot yet" not in said


def test_without_a_bot_only_success_is_said():
    said = verdict(replace(MUTUAL, bot_agreement_before=None, bot_agreement_after=None, agreement_ceiling=None))
    assert "61% (before: 12%)" in said
    assert "states" not in said


def test_without_any_measurement_of_the_teacher():
    unmeasured = replace(
        MUTUAL,
        bot_agreement_before=None,
        bot_agreement_after=None,
        teacher_success_before=None,
        teacher_success_after=None,
    )
    assert "What the teacher has learnt was not measured." in verdict(unmeasured)


@pytest.mark.parametrize(
    ("success", "agreement", "expected"),
    [
        ((0.5, 0.2), (0.6, 0.6), "is worse than before"),
        ((0.5, 0.52), (0.6, 0.58), "can do no more than before"),
        ((0.2, 0.6), (0.6, 0.3), "better by one measure and worse by the other"),
        ((0.2, 0.6), (0.6, 0.6), "can do what it could not before"),
    ],
)
def test_change_of_the_teacher(success, agreement, expected):
    summary = replace(
        MUTUAL,
        teacher_success_before=success[0],
        teacher_success_after=success[1],
        bot_agreement_before=agreement[0],
        bot_agreement_after=agreement[1],
    )
    assert expected in verdict(summary)


@pytest.mark.parametrize(("trust", "expected"), [(0.02, "not worth"), (0.3, "is weak"), (0.9, "own measurements the")])
def test_worth_of_the_advice(trust, expected):
    assert expected in verdict(replace(MUTUAL, trust=trust))


def test_never_learnt():
    assert "success never reached 50%." in verdict(replace(PPO, frames_to_success=NEVER))


def test_percent_does_not_round_to_never_and_always():
    assert [percent(x) for x in (0.0, 0.001, 0.5, 0.999, 1.0)] == ["0%", "<1%", "50%", ">99%", "100%"]


def test_clear_difference():
    assert difference_is_clear(0.98, 0.89, 128)
    assert not difference_is_clear(0.92, 0.89, 128)
    assert not difference_is_clear(1.0, 0.0, 1)
    assert not difference_is_clear(1.0, 1.0, 128)
