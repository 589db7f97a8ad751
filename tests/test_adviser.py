"""When the teacher is asked: after a rollout, or at once, never beyond the budget of a round."""

import concurrent.futures
import threading
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from cotutor.adviser import Adviser
from cotutor.attach import make_adviser
from cotutor.config import AskingConfig, DialogueConfig, RayConfig, TrainConfig, VerbalizerConfig
from cotutor.errors import SilentTeacherError, UserError
from cotutor.runs.state import capture, restore
from cotutor.tasks import make_task
from cotutor.teachers import Uniform
from cotutor.teachers.bow import BagOfWords
from cotutor.train import build
from cotutor.types import Failure

TASK = make_task("babyai:GoToRedBall")
CONTEXTS = [f"Mission: go to the red ball. The red ball is {number} steps away." for number in range(6)]


def adviser(at_once: bool = True) -> Adviser:
    return make_adviser(TASK, TrainConfig(teacher="uniform", asking=AskingConfig(per_round=3, at_once=at_once)))


class Biased(Uniform):
    """Always prefers the first option, and knows how much once it is calibrated."""

    bias = 0.0

    def score(self, questions):
        return [np.eye(len(question.options))[0] for question in questions]

    def calibrate(self, questions):
        self.bias = 0.75

    def advice(self, questions, scores):
        return [softmax(scores_O * (1 - self.bias)) for scores_O in scores]


class Imitator(Uniform):
    """Prefers what the last example before a question says, and without one nothing."""

    def score(self, questions):
        last = [question.context.split("\n\n")[-2:-1] for question in questions]
        return [
            3.0 * np.array([any(example.endswith(f" {option.phrase}") for example in examples) for option in q.options])
            for q, examples in zip(questions, last, strict=True)
        ]

    def advice(self, questions, scores):
        return [softmax(scores_O) for scores_O in scores]


def test_examples_tell_a_teacher_what_helped_in_the_contexts_most_alike():
    near, far, new = (
        f"Mission: go to the red ball. The red ball is {where}." for where in ("left", "on top", "left too")
    )
    config = TrainConfig(teacher="uniform", dialogue=DialogueConfig(examples=1, shrinkage=0.0))
    asking = make_adviser(TASK, config)
    asking.teacher = Imitator()
    unclear = "Mission: go to the red ball. The red ball is left too, far."
    contexts = [context for context in (near, far, unclear) for _ in range(2)]
    asking.memory.record(contexts, np.array([1, 0, 2, 0, 0, 0]), np.array([1.0, -1.0, 1.0, -1.0, 1.0, 1.0]))
    asking.ask([new, near])
    assert asking.advice(new, None)[1].argmax() == 1, "what is most alike, and of which a gain is known"
    assert asking.answers[new].own_O == pytest.approx(np.full(3, 1 / 3)), "its own advice is what it says unasked"
    assert asking.answers[near].advice_O.argmax() == 2, "a context is no example of itself"


def test_nothing_is_asked_at_once_before_the_teacher_is_calibrated():
    asking = adviser()
    asking.ask_at_once(CONTEXTS)
    assert not asking.answers
    asking.ask(CONTEXTS[:1])
    asking.ask_at_once(CONTEXTS[:2])
    assert list(asking.answers) == CONTEXTS[:2]


def test_what_is_asked_at_once_comes_out_of_the_budget_of_the_round():
    asking = adviser()
    asking.ask(CONTEXTS[:1])
    asking.ask_at_once([*CONTEXTS[:3], CONTEXTS[1]])
    assert asking.requested == 2
    asking.meet(CONTEXTS)
    assert asking.choose() == [CONTEXTS[3]]
    asking.ask_at_once(CONTEXTS)
    assert asking.requested == 3
    assert asking.choose() == []
    assert asking.taken_up() == CONTEXTS[1:4]
    assert asking.choose() == CONTEXTS[4:]


def test_a_share_of_the_time_is_spent_once_whatever_is_asked_at_once():
    asking = make_adviser(TASK, TrainConfig(teacher="uniform", asking=AskingConfig(share=0.5, at_once=True)))
    asking.ask(CONTEXTS[:1])
    asking.seconds, asking.started = 1.0, asking.started - 9.0  # 3.5 s are owed, and a question takes one
    asking.ask_at_once(CONTEXTS)
    assert asking.requested == 3


def test_who_does_not_ask_at_once_asks_after_the_rollout():
    asking = adviser(at_once=False)
    asking.ask(CONTEXTS[:1])
    asking.ask_at_once(CONTEXTS)
    assert list(asking.answers) == CONTEXTS[:1]
    asking.meet(CONTEXTS[1:])
    assert asking.choose() == CONTEXTS[1:4]


def test_answers_of_a_teacher_that_works_beside_the_student_are_waited_for_when_the_rollout_is_over():
    asking = make_adviser(TASK, TrainConfig(teacher="uniform", asking=AskingConfig(per_round=3, beside=True)))
    asking.teacher = teacher = Remote()
    teacher.remote = False
    asking.meet(CONTEXTS)
    asking.request(asking.choose())
    assert asking.guidance(CONTEXTS[0]) is None, "nobody waits while the student goes on"
    threading.Timer(0.2, teacher.allowed.set).start()
    asking.refresh()
    assert asking.guidance(CONTEXTS[0]) is not None
    assert asking.taken_up() == CONTEXTS[:3]


def test_a_run_beside_which_the_teacher_works_is_repeatable_and_loses_no_answer():
    config = TrainConfig(task="babyai:GoToLocal", teacher="bow", threads=1, frames=3072)
    config = replace(config, asking=AskingConfig(per_round=8, beside=True), lessons=replace(config.lessons, every=1))
    outcomes = []
    for _ in range(2):
        pair, reports = build(config), []
        pair.loop.on_round = reports.append
        pair.model.learn(config.frames, callback=pair.loop)
        outcomes.append((reports, pair.adviser.answers.keys()))
        assert [len(report.consultations) for report in reports] == [0, 8, 8], "each a round later"
        assert pair.adviser.waiting_for == (), "nothing that was asked is lost"
    for one, other in zip(outcomes[0][0], outcomes[1][0], strict=True):
        assert (one.lesson_loss, one.trust) == (other.lesson_loss, other.trust)
        assert [c.question for c in one.consultations] == [c.question for c in other.consultations]
    assert outcomes[0][1] == outcomes[1][1]


@pytest.mark.parametrize(
    "settings",
    [
        {"asking": AskingConfig(beside=True, at_once=True)},
        {"teacher": "me"},
        {"method": "bc"},
        {"task": "varied:Fetch2", "verbalizer": VerbalizerConfig(restate=True)},
        {"ray": RayConfig(teacher_actors=1)},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_a_teacher_whom_others_need_meanwhile_cannot_work_beside_the_student(settings):
    config = replace(TrainConfig(teacher="uniform", asking=AskingConfig(beside=True)), **settings)
    with pytest.raises(UserError, match="beside"):
        build(config)


class Calibrated(BagOfWords):
    """Learns only what it is calibrated for."""

    calibrated = False

    def calibrate(self, questions):
        self.calibrated = True

    def learn(self, lessons, steps):
        assert self.calibrated
        return super().learn(lessons, steps)


def test_a_teacher_is_calibrated_before_it_is_taught_however_early_that_is():
    config = TrainConfig(task="babyai:GoToRedBallNoDists", teacher="uniform", threads=1, frames=3072)
    pair = build(replace(config, lessons=replace(config.lessons, every=1, least_news=0.0)))
    pair.adviser.teacher = Calibrated()
    pair.model.learn(config.frames, callback=pair.loop)
    assert pair.adviser.teacher.version >= 1


@pytest.mark.parametrize("at_once", [True, False])
def test_a_run_asks_within_its_budget_and_writes_down_all_it_asked(at_once: bool):
    config = TrainConfig(task="babyai:GoToLocal", teacher="uniform", threads=1, frames=2048)
    config = replace(
        config, asking=AskingConfig(per_round=8, at_once=at_once), trust=replace(config.trust, trial_every=2)
    )
    pair, reports = build(config), []
    pair.loop.on_round = reports.append
    pair.model.learn(config.frames, callback=pair.loop)
    assert [len(report.consultations) for report in reports] == [8, 8]
    assert reports[-1].asked == 16


def test_a_run_that_goes_on_calibrates_the_teacher_on_its_own_contexts_and_believes_no_older_answer():
    config = TrainConfig(task="babyai:GoToRedBall", teacher="uniform", threads=1)
    pair = build(config)
    pair.adviser.teacher = Biased()
    earlier = make_adviser(TASK, config)
    earlier.teacher = Biased()
    earlier.ask(CONTEXTS)
    pair.adviser.answers |= earlier.answers
    pair.model.learn(1024, callback=pair.loop)
    assert pair.adviser.teacher.bias > 0
    for answer in (pair.adviser.answers[context] for context in CONTEXTS):
        np.testing.assert_allclose(answer.own_O, softmax(0.25 * answer.scores_O))
        np.testing.assert_allclose(answer.advice_O, answer.own_O)


class Remote(Uniform):
    """Answers when it is allowed to."""

    remote = True

    def __init__(self) -> None:
        self.allowed = threading.Event()
        self.fails = False
        self.calibrated_on = []

    def calibrate(self, questions):
        self.calibrated_on.append(questions)
        self._answer()

    def score(self, questions):
        self._answer()
        return super().score(questions)

    def _answer(self):
        assert self.allowed.wait(timeout=20)
        if self.fails:
            raise SilentTeacherError("away", "There is no server any more.")


def remote() -> tuple[Adviser, Remote]:
    asking = adviser()
    asking.teacher = teacher = Remote()
    asking.meet(CONTEXTS)
    asking.request(asking.choose())
    return asking, teacher


def answered(asking: Adviser) -> None:
    """Waits until a reply is there, and takes it up as a round does."""
    concurrent.futures.wait([asking._waiting.reply], timeout=20)  # pyright: ignore
    asking.refresh()


def test_the_student_goes_on_while_a_remote_teacher_thinks_and_has_the_answers_when_they_come():
    asking, teacher = remote()
    asking.refresh()
    assert asking.taken_up() == [] and asking.guidance(CONTEXTS[0]) is None
    assert asking.choose() == []
    teacher.allowed.set()
    answered(asking)
    assert asking.guidance(CONTEXTS[0]) is not None
    assert asking.asked == 3
    assert asking.choose() == CONTEXTS[3:]
    assert asking.taken_up() == CONTEXTS[:3]


def test_what_a_remote_teacher_could_not_do_is_noted_once_and_asked_again_after_a_pause():
    asking, teacher = remote()
    teacher.allowed.set()
    answered(asking)
    asking.taken_up()
    teacher.fails = True
    asking.request(asking.choose())
    answered(asking)
    assert asking.failures() == [Failure("away", "There is no server any more.")]
    assert asking.failures() == [] and asking.asked == 3
    assert asking.breaker.open and asking.choose() == []
    asking.taken_up()
    assert asking.choose() == [], "it is left in peace for a while"
    teacher.fails, asking.breaker.until = False, 0.0
    assert len(asking.choose()) == 1
    asking.request(asking.choose())
    answered(asking)
    assert not asking.breaker.open and asking.asked == 4
    asking.taken_up()
    assert len(asking.choose()) == len(CONTEXTS) - 4


def test_a_remote_teacher_is_calibrated_while_the_student_goes_on_and_never_on_a_single_question():
    asking, teacher = remote()
    assert asking.waiting_for, "nothing waited for the calibration"
    teacher.allowed.set()
    teacher.fails = True
    answered(asking)
    assert asking.breaker.open and asking.asked == 0
    asking.taken_up()
    teacher.fails, asking.breaker.until = False, 0.0
    asking.request(asking.choose())
    answered(asking)
    assert [len(questions) for questions in teacher.calibrated_on] == [6, 6], "on all that was met, asked or not"
    assert asking.asked == 3


def test_what_a_remote_teacher_had_still_to_answer_is_asked_again_where_a_run_is_taken_up():
    asking, teacher = remote()
    tensors = {}
    captured = capture(asking, tensors)
    again = adviser()
    again.teacher = teacher
    restore(again, captured, tensors)
    assert again.waiting_for == asking.waiting_for == tuple(CONTEXTS[:3])
    teacher.allowed.set()
    answered(again)
    assert again.asked == 3
    answered(asking)


def test_only_so_many_answers_are_remembered_those_met_least_lately_go_first():
    asking = adviser()
    asking.teacher = Uniform()
    asking.asking = AskingConfig(per_round=64, remembered=10)
    contexts = [f"Mission: go to the red ball. The red ball is {number} steps away." for number in range(12)]
    asking.meet(contexts)
    asking.request(asking.choose())
    asking.meet(contexts)
    assert len(asking.answers) == 12, "they are still to be told of"
    assert len(asking.taken_up()) == 12
    asking.meet(contexts[3:])
    assert asking.answers.keys() == set(contexts[3:])


def test_contexts_that_were_too_long_count_once_each_and_are_not_kept():
    asking = adviser()
    asking.teacher = Uniform()
    asking.teacher.most_characters = 100
    long = ["Mission: wait. " + "x" * 200 + str(number) for number in range(2)]
    for _ in range(3):
        read = asking.read([*long, CONTEXTS[0]])
        asking.read([long[0]])
        asking.meet(read)
    assert asking.shortened_contexts == 2
    assert not asking.shortened
