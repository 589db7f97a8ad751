"""Teachers without a language model, and making teachers by name."""

import copy
import subprocess
import sys
from itertools import chain
from typing import Any, cast

import numpy as np
import pytest
import torch

from cotutor.errors import LessonError, UserError
from cotutor.tasks import make_task
from cotutor.teachers import Adversarial, BagOfWords, Oracle, Random, Turncoat, Uniform, make_teacher
from cotutor.teachers.learning import minibatches, take_steps
from cotutor.types import Lesson, Option, Question

OPTIONS = (Option("turn left", 0), Option("turn right", 1), Option("go forward", 2), Option("walk on", 2))
LEFT, RIGHT = Question("the ball is on your left", OPTIONS), Question("the ball is on your right", OPTIONS)
LESSONS = [Lesson(LEFT, np.eye(4)[0], 1.0), Lesson(RIGHT, np.eye(4)[1], 1.0)]


class Task:
    """Stands in for a task: all that these teachers ask of it."""

    name = "stand-in"

    def __init__(self, has_expert: bool, action: int = 2) -> None:
        self.has_expert = has_expert
        self.action = action

    def expert_action(self, env: Any) -> int:
        return self.action


def task(has_expert: bool = True, action: int = 2) -> Any:
    return Task(has_expert, action)


def advice(teacher, question: Question = LEFT) -> np.ndarray:
    return teacher.advice([question], teacher.score([question]))[0]


def test_untaught_bag_of_words_is_uniform():
    np.testing.assert_allclose(advice(BagOfWords()), 0.25)
    np.testing.assert_allclose(BagOfWords().reference([LEFT])[0], 0.25)


def test_bag_of_words_learns_and_generalises_over_words_it_shares():
    teacher = BagOfWords()
    first, last = teacher.learn(LESSONS, 1), teacher.learn(LESSONS, 100)
    assert last < 0.2 * first
    assert advice(teacher, Question("the box is on your right", OPTIONS)).argmax() == 1
    assert teacher.version == 2


def test_bag_of_words_is_saved_with_its_optimiser(tmp_path):
    teacher, loaded = BagOfWords(), BagOfWords()
    teacher.learn(LESSONS, 4)
    teacher.save(tmp_path)
    loaded.load(tmp_path)
    assert loaded.learn(LESSONS, 4) == teacher.learn(LESSONS, 4)
    np.testing.assert_array_equal(advice(loaded), advice(teacher))


def test_every_pass_holds_every_lesson_once():
    numbers = cast(list[Lesson], list(range(10)))
    batches = list(minibatches(numbers, 4, 6, seed=(0, 0)))
    assert [len(batch) for batch in batches] == [4, 4, 2, 4, 4, 2]
    assert sorted(chain(*batches[:3])) == sorted(chain(*batches[3:])) == numbers
    assert batches != list(minibatches(numbers, 4, 6, seed=(0, 1)))


def test_random_ranking_is_fixed_for_a_context_and_differs_between_seeds_and_contexts():
    questions = [Question(f"context {i}", OPTIONS) for i in range(20)]
    first, again, other = (np.stack(Random(seed).score(questions)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=1).sum() > 10
    assert len(np.unique(first, axis=0)) > 5
    assert np.sort(first, axis=1).tolist() == [[-6, -4, -2, 0]] * 20


def test_uniform_is_uniform():
    np.testing.assert_allclose(advice(Uniform()), 0.25)


def test_oracle_favours_and_adversary_avoids_all_phrases_of_the_experts_action():
    env = cast(Any, None)
    np.testing.assert_array_equal(Oracle(task()).score_state(env, LEFT), [0, 0, 10, 10])
    np.testing.assert_array_equal(Adversarial(task()).score_state(env, LEFT), [0, 0, -10, -10])
    np.testing.assert_array_equal(Oracle(task(action=5)).score_state(env, LEFT), [0, 0, 0, 0])


def test_following_the_oracle_solves_the_papers_task_and_the_adversary_does_not():
    paper = make_task("babyai:GoToRedBallNoDists")

    def solves(name: str) -> bool:
        teacher, env = make_teacher(name, paper), paper.make_env()
        observation, _ = env.reset(seed=1)
        for _ in range(20):
            question = paper.question(paper.describe(observation))
            best = question.options[int(teacher.score_state(env, question).argmax())]
            observation, reward, terminated, _, _ = env.step(best.action)
            if terminated:
                return float(reward) > 0
        return False

    assert solves("oracle")
    assert not solves("adversarial")


@pytest.mark.parametrize(
    "name, kind", [("bow", BagOfWords), ("random", Random), ("uniform", Uniform), ("oracle", Oracle)]
)
def test_teachers_by_name(name, kind):
    assert type(make_teacher(name, task())) is kind


def test_an_unknown_name_is_answered_with_the_names():
    with pytest.raises(UserError, match=r"smollm2.*oracle.*hf:ORG/MODEL"):
        make_teacher("socrates", task())


def test_an_oracle_needs_an_expert():
    with pytest.raises(UserError, match="expert"):
        make_teacher("oracle", task(has_expert=False))


def test_teachers_without_a_language_model_import_none():
    code = "import sys, cotutor.teachers; sys.exit(bool({'transformers', 'peft'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_turncoat_is_right_until_it_is_trusted_and_knows_after_a_pause_which_it_is(tmp_path):
    teacher, again = Turncoat(task()), Turncoat(task())
    env = cast(Any, None)
    teacher.loyal = 2
    assert teacher.score_state(env, LEFT).argmax() == 2
    teacher.save(tmp_path)
    again.load(tmp_path)
    for each in (teacher, again):
        assert each.score_state(env, LEFT).argmin() == 2
        assert each.score_state(env, LEFT).argmin() == 2


@pytest.mark.parametrize(("copies", "steps"), [(1, 30), (32, 4)], ids=["many passes", "a single one"])
def test_a_lesson_that_would_spoil_the_teacher_is_taken_back(copies, steps):
    teacher = BagOfWords(learning_rate=0.01)
    teacher.learn(LESSONS, 4)
    weights, before = teacher.weights.detach().clone(), copy.deepcopy(teacher.optimizer.state_dict())
    for group in teacher.optimizer.param_groups:
        group["lr"] = 1000.0
    with pytest.raises(LessonError, match=r"went from .* to "):
        teacher.learn([*LESSONS, Lesson(LEFT, np.eye(4)[2], 1.0)] * copies, steps)
    assert torch.equal(teacher.weights, weights) and teacher.version == 1
    after = teacher.optimizer.state_dict()["state"][0]
    assert all(torch.equal(after[name], value) for name, value in before["state"][0].items())


def test_no_lesson_is_left_out_for_want_of_steps():
    teacher, taught = BagOfWords(), []
    lessons = [Lesson(LEFT, np.eye(4)[2], 1.0 + i) for i in range(40)]

    def logits(batch):
        taught.extend(lesson.weight for lesson in batch)
        return [teacher._logits(lesson.question) for lesson in batch]

    take_steps(teacher.optimizer, logits, lessons, steps=1, batch_size=16, seed=(0,))
    assert sorted(taught) == [lesson.weight for lesson in lessons]


def test_a_lesson_whose_loss_is_no_number_is_taken_back():
    teacher = BagOfWords()
    with pytest.raises(LessonError, match="nan"):
        teacher.learn([Lesson(LEFT, np.array([np.nan, 0, 0, 1]), 1.0)], 2)
    assert not teacher.weights.any() and teacher.version == 0


def test_a_batch_that_does_not_fit_into_memory_is_computed_in_pieces_with_the_same_gradient():
    lessons = [Lesson(question, np.eye(4)[i % 4], 1.0 + i) for i, question in enumerate([LEFT, RIGHT] * 8)]
    roomy, narrow = BagOfWords(), BagOfWords()
    sizes = []

    def logits(batch):
        sizes.append(len(batch))
        if len(batch) > 3:
            raise torch.OutOfMemoryError
        return [narrow._logits(lesson.question) for lesson in batch]

    arguments = {"steps": 3, "batch_size": 16, "seed": (0, 0)}
    loss = take_steps(narrow.optimizer, logits, lessons, **arguments)
    assert sizes[:3] == [16, 8, 4] and sizes[3] == 2
    whole = take_steps(
        roomy.optimizer, lambda batch: [roomy._logits(lesson.question) for lesson in batch], lessons, **arguments
    )
    assert loss == pytest.approx(whole)
    torch.testing.assert_close(narrow.weights, roomy.weights)


def test_a_lesson_for_which_there_is_no_memory_at_all_says_so():
    def logits(batch):
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        take_steps(BagOfWords().optimizer, logits, LESSONS, steps=1, batch_size=2, seed=(0, 0))
