"""A teacher in several actors is the same teacher."""

from functools import partial

import numpy as np
import pytest

from cotutor.cluster.actors import Replaceable
from cotutor.cluster.replicas import Replicas
from cotutor.config import RayConfig
from cotutor.errors import UserError
from cotutor.tasks import make_task
from cotutor.teachers import make_teacher
from cotutor.types import Lesson

TASK = make_task("babyai:GoToRedBallNoDists")
CONTEXTS = [
    f"Mission: go to the red ball. The red ball is {place}." for place in ("ahead", "left", "right", "near", "far")
]
QUESTIONS = [TASK.question(context) for context in CONTEXTS]
LESSONS = [Lesson(question, np.eye(len(question.options))[i % 3], 1.0) for i, question in enumerate(QUESTIONS)]


def replicated(name, count=2):
    return Replicas(partial(make_teacher, name, TASK, 0), RayConfig(teacher_actors=count))


@pytest.fixture
def teacher(cluster):
    teacher = replicated("bow")
    yield teacher
    teacher.close()


def alike(mine, theirs, tolerance=0.0):
    return all(np.allclose(a, b, atol=tolerance, rtol=0) for a, b in zip(mine, theirs, strict=True))


def test_replicas_answer_learn_and_are_saved_as_one(teacher, tmp_path):
    single = make_teacher("bow", TASK, 0)
    for _ in range(2):
        assert alike(teacher.score(QUESTIONS), single.score(QUESTIONS))
        assert teacher.learn(LESSONS, 4) == single.learn(LESSONS, 4)
        assert teacher.version == single.version
    assert alike(teacher.reference(QUESTIONS), single.reference(QUESTIONS))
    teacher.save(tmp_path)
    again = make_teacher("bow", TASK, 0)
    again.load(tmp_path)
    assert again.version == 2 and alike(again.score(QUESTIONS), single.score(QUESTIONS))


@pytest.mark.parametrize("number", [0, 1])
def test_a_replica_that_is_lost_is_replaced_by_one_that_knows_what_was_learnt(teacher, number):
    single = make_teacher("bow", TASK, 0)
    teacher.learn(LESSONS, 4)
    single.learn(LESSONS, 4)
    replica = teacher.replicas[number]
    replica.ray.kill(replica.actor)
    assert alike(teacher.score(QUESTIONS), single.score(QUESTIONS))
    replica.ray.kill(replica.actor)
    assert teacher.learn(LESSONS, 4) == single.learn(LESSONS, 4)
    assert alike(teacher.score(QUESTIONS), single.score(QUESTIONS))
    assert replica.replaced == 2


def test_what_was_learnt_stays_when_the_one_that_learnt_is_lost_at_once(teacher, monkeypatch):
    single = make_teacher("bow", TASK, 0)
    first, call = teacher.replicas[0], Replaceable.call

    def call_and_lose(self, method, *arguments):
        result = call(self, method, *arguments)
        if method == "change":
            self.ray.kill(self.actor)
        return result

    monkeypatch.setattr(Replaceable, "call", call_and_lose)
    assert teacher.learn(LESSONS, 4) == single.learn(LESSONS, 4)
    assert alike(teacher.score(QUESTIONS), single.score(QUESTIONS))
    assert first.replaced == 1


def test_a_teacher_that_looks_into_the_environment_is_not_replicated(cluster):
    with pytest.raises(UserError, match="can only be in this process"):
        replicated("oracle", 1)


@pytest.mark.slow
def test_a_language_model_in_two_actors_says_the_same_but_for_rounding(cluster):
    teacher, single = replicated("smollm2"), make_teacher("smollm2", TASK, 0, dtype="auto")
    for each in (teacher, single):
        each.calibrate(QUESTIONS)
    scores = teacher.score(QUESTIONS), single.score(QUESTIONS)
    assert alike(*scores, tolerance=0.3)
    assert alike(teacher.advice(QUESTIONS, scores[1]), single.advice(QUESTIONS, scores[1]))
    assert teacher.learn(LESSONS, 2) == pytest.approx(single.learn(LESSONS, 2), abs=0.05)
    assert teacher.tokens > 0
    replica = teacher.replicas[1]
    before = teacher.score(QUESTIONS)
    replica.ray.kill(replica.actor)
    assert alike(teacher.score(QUESTIONS), before)
    teacher.close()
