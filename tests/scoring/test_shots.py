"""Worked examples: where they come from, and that they reach the prompt."""

import pytest

from cotutor.config import TrainConfig, validate
from cotutor.errors import UserError
from cotutor.scoring.shots import examples
from cotutor.tasks import make_task
from cotutor.tasks.check import agreement_states
from cotutor.teachers import make_teacher
from cotutor.teachers.local import TEMPLATE, LocalTeacher

TASK = make_task("babyai:GoToRedBallNoDists")


def parse(text: str) -> list[tuple[str, str]]:
    """Returns the contexts and answers of examples written with the default template."""
    blocks = [block.split("\nNext action: ") for block in text.removesuffix("\n\n").split("\n\n")]
    return [(context, answer) for context, answer in blocks]


def test_no_shots_change_nothing():
    assert examples(TASK, 0, TEMPLATE) == ""


def test_examples_are_always_the_same_and_fewer_are_the_first_of_more():
    three = examples(TASK, 3, TEMPLATE)
    assert three == examples(make_task("babyai:GoToRedBallNoDists"), 3, TEMPLATE)
    assert three.startswith(examples(TASK, 1, TEMPLATE))
    assert examples(TASK, 8, TEMPLATE).startswith(three)


def test_examples_show_different_contexts_and_take_turns_between_answers():
    shown = parse(examples(TASK, 8, TEMPLATE))
    assert len({context for context, _ in shown}) == 8
    phrases = {option.phrase for option in TASK.options(shown[0][0])}
    assert {answer for _, answer in shown[:3]} == phrases


def test_examples_say_what_is_right():
    """An independent walk through other episodes: most of its states with the same context agree with the example."""
    action = {option.phrase: option.action for option in TASK.options("")}
    right: dict[str, list[bool]] = {}
    shown = dict(parse(examples(TASK, 8, TEMPLATE)))
    for context, actions in agreement_states(TASK, 256):
        if context in shown:
            right.setdefault(context, []).append(action[shown[context]] in actions)
    assert len(right) >= 6
    judged = [agrees for judgements in right.values() for agrees in judgements]
    assert sum(judged) / len(judged) > 0.75


def test_a_task_without_expert_has_no_examples():
    class Mute:
        has_expert = False
        name = "mute"

    with pytest.raises(UserError, match="mute has none"):
        examples(Mute(), 1, TEMPLATE)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("shots", [-1, 9])
def test_shots_are_bounded(shots):
    with pytest.raises(UserError, match="shots is"):
        validate(TrainConfig(shots=shots))


def test_a_teacher_reads_the_examples_and_is_calibrated_with_them():
    teacher = make_teacher("smollm2", TASK, shots=2)
    plain = make_teacher("smollm2", TASK)
    assert isinstance(teacher, LocalTeacher)
    assert isinstance(plain, LocalTeacher)
    questions = [TASK.question(context) for context, _ in parse(examples(TASK, 8, TEMPLATE))[2:]]
    prompt = teacher.prompter.tokenizer.decode(teacher.prompter(questions[0]).context_T)
    assert prompt == examples(TASK, 2, TEMPLATE) + f"{questions[0].context}\nNext action:"
    teacher.calibrate(questions)
    [advice_O] = teacher.advice(questions[:1], teacher.score(questions[:1]))
    assert advice_O.sum() == pytest.approx(1)
    assert set(teacher.calibration.bias) == {option.phrase for option in questions[0].options}
    assert teacher.score(questions[:1])[0] != pytest.approx(plain.score(questions[:1])[0], abs=0.1)
