"""A teacher that says in plain words what a mission means."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from cotutor.embedded import embedded_model
from cotutor.errors import UserError
from cotutor.tasks import make_task
from cotutor.tasks.varied import MEANINGS, TAUGHT, UNSEEN, Language
from cotutor.teachers import make_teacher
from cotutor.teachers.local import LocalTeacher
from cotutor.teachers.restating import CUE, Restating
from cotutor.types import Lesson, Question

SEEN = "A red ball is straight ahead."


@pytest.fixture(scope="module")
def smollm2() -> LocalTeacher:
    return LocalTeacher(embedded_model())


@pytest.fixture
def teacher(smollm2: LocalTeacher) -> Restating:
    return Restating(smollm2, MEANINGS)


def told(language: Language, count: int) -> tuple[list[str], list[str]]:
    """Returns missions and what they mean."""
    pairs = [
        (mission, f"pick up the {colour} {noun}")
        for colour, noun in product(language.colours, language.nouns)
        for mission in language.missions(colour, noun)
    ]
    drawn = [pairs[i] for i in np.random.default_rng(0).permutation(len(pairs))[:count]]
    return [mission for mission, _ in drawn], [meaning for _, meaning in drawn]


def test_the_language_model_knows_what_words_mean_that_nobody_taught_it(teacher: Restating) -> None:
    for language, least in ((TAUGHT, 0.7), (UNSEEN, 0.5)):
        missions, meanings = told(language, 64)
        right = [plain == meaning for plain, meaning in zip(teacher.restate(missions), meanings, strict=True)]
        assert np.mean(right) > least


def test_a_mission_is_the_best_meaning_after_calibration_on_all_missions_met(
    teacher: Restating, smollm2: LocalTeacher
) -> None:
    first, second = told(TAUGHT, 6)[0], told(UNSEEN, 6)[0]
    teacher.restate(first)
    restated = teacher.restate(second)
    scores = np.stack(
        smollm2.score([Question(f"Mission: {mission}. {CUE}", teacher.options) for mission in (*first, *second)])
    )
    best = (scores - scores.mean(axis=0)).argmax(axis=1)
    assert restated == [MEANINGS[i] for i in best[len(first) :]]


def test_a_context_keeps_what_is_seen_and_plain_words_stay(teacher: Restating) -> None:
    contexts = [f"Mission: {mission}. {SEEN} A blue box is on your left." for mission in told(TAUGHT, 4)[0]]
    for plain in teacher.read(contexts):
        mission, _, seen = plain.partition(". ")
        assert mission.removeprefix("Mission: ") in MEANINGS
        assert seen == f"{SEEN} A blue box is on your left."
    plain = [f"Mission: {meaning}. {SEEN}" for meaning in MEANINGS]
    assert teacher.read(plain) == plain
    assert len(teacher.scores) == 4


def test_lessons_do_not_change_what_words_mean_and_it_is_saved(tmp_path: Path) -> None:
    task = make_task("varied:Fetch2")
    teacher, again = (Restating(LocalTeacher(embedded_model()), MEANINGS) for _ in range(2))
    missions = told(TAUGHT, 8)[0]
    before = teacher.restate(missions)
    teacher.learn([Lesson(task.question(f"Mission: {before[0]}. {SEEN}"), np.eye(4)[2], 1.0)], 2)
    assert teacher.version == 1
    teacher.save(tmp_path)
    again.load(tmp_path)
    assert again.version == 1
    assert again.scores.keys() == teacher.scores.keys()
    teacher.scores.clear()
    assert teacher.restate(missions) == again.restate(missions) == before


def test_only_language_models_restate_and_only_where_there_is_something_to_restate() -> None:
    with pytest.raises(UserError, match="language model"):
        make_teacher("bow", make_task("varied:Fetch2"), restate=True)
    with pytest.raises(UserError, match="plain words already"):
        make_teacher("smollm2", make_task("babyai:GoToLocal"), restate=True)
