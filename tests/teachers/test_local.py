"""The local teacher: calibration by hand, learning, and what is saved."""

import json

import numpy as np
import pytest
from transformers import PreTrainedModel, T5Config, T5ForConditionalGeneration

from cotutor.errors import LessonError, UserError
from cotutor.teachers.local import LocalConfig, LocalTeacher
from cotutor.types import Lesson, Option, Question
from tests.tiny import causal, save_tiny

OPTIONS = (Option("turn left", 0), Option("turn right", 1), Option("go forward", 2))
COLOURS = ("red", "green", "blue", "grey")
SIDES = {"left": 0, "right": 1, "ahead": 2}
FLOAT32 = LocalConfig(dtype="float32", learning_rate=1e-2, batch_size=16)


def question(colour: str, side: str) -> Question:
    return Question(f"the {colour} ball is {side}", OPTIONS)


def lesson(colour: str, side: str) -> Lesson:
    return Lesson(question(colour, side), np.eye(3)[SIDES[side]], 1.0)


LESSONS = [lesson(colour, side) for colour in COLOURS[:3] for side in SIDES]
HELD_OUT = [question(COLOURS[3], side) for side in SIDES]


def encoder_decoder(words: int) -> PreTrainedModel:
    shape = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
    return T5ForConditionalGeneration(T5Config(vocab_size=words, **shape, decoder_start_token_id=0))


@pytest.fixture(scope="module", params=[causal, encoder_decoder])
def folder(tmp_path_factory, request):
    """A tiny model with random weights whose tokens are words."""
    words = ["?", "the", "ball", "is", "turn", "go", "forward", "Next", "action", "Action", ":", "Ċ", *COLOURS, *SIDES]
    return save_tiny(tmp_path_factory.mktemp("tiny"), words, request.param)


@pytest.fixture
def teacher(folder) -> LocalTeacher:
    return LocalTeacher(folder, config=FLOAT32)


def certainty(teacher: LocalTeacher, questions: list[Question]) -> float:
    """Mean probability of the right option."""
    advice = teacher.advice(questions, teacher.score(questions))
    return float(np.mean([p_O[SIDES[q.context.split()[-1]]] for q, p_O in zip(questions, advice, strict=True)]))


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(np.allclose(x, y, atol=1e-6) for x, y in zip(a, b, strict=True))


def test_calibration_subtracts_mean_reference_scores(teacher):
    reference = [question("red", "left"), question("blue", "ahead")]
    teacher.calibrate(reference)
    bias_O = np.mean(teacher.score(reference), axis=0)
    [scores_O] = teacher.score([question("green", "right")])
    weights_O = np.exp(scores_O - bias_O)
    [advice_O] = teacher.advice([question("green", "right")], [scores_O])
    np.testing.assert_allclose(advice_O, weights_O / weights_O.sum(), rtol=1e-6)


def test_temperature_softens_advice(folder):
    [advice_O] = LocalTeacher(folder, config=LocalConfig(temperature=2.0)).advice(
        HELD_OUT[:1], [np.array([0.0, 2.0, 4.0])]
    )
    np.testing.assert_allclose(advice_O, np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum())


def test_an_unknown_phrase_gets_the_mean_bias(teacher):
    teacher.calibration.bias = {"turn left": -2.0, "turn right": -4.0}
    [advice_O] = teacher.advice(HELD_OUT[:1], [np.array([-2.0, -4.0, -3.0])])
    np.testing.assert_allclose(advice_O, 1 / 3)


def test_calibration_comes_from_the_reference_and_is_made_anew_for_other_contexts(teacher):
    later = [Question(f"the {side} ball is red", (*OPTIONS[:2], Option("go left", 0))) for side in SIDES]
    expected = np.mean([teacher.score([asked])[0] for asked in later], axis=0)
    teacher.calibrate(HELD_OUT)
    before = dict(teacher.calibration.bias)
    teacher.learn(LESSONS, 10)
    teacher.calibrate(later)
    phrases = [option.phrase for option in later[0].options]
    assert teacher.calibration.bias == before | {p: pytest.approx(e) for p, e in zip(phrases, expected, strict=True)}
    assert teacher.calibration.bias[phrases[0]] != before[phrases[0]]


def test_lessons_carry_over_to_a_name_that_was_never_taught(teacher):
    teacher.calibrate(HELD_OUT)
    before = certainty(teacher, HELD_OUT)
    first, last = teacher.learn(LESSONS, 2), teacher.learn(LESSONS, 40)
    assert last < 0.5 * first
    assert certainty(teacher, HELD_OUT) > before + 0.3
    assert teacher.version == 2


def test_the_base_model_stays_as_it_was(teacher):
    teacher.calibrate(HELD_OUT)
    scores, advice = teacher.score(HELD_OUT), teacher.advice(HELD_OUT, teacher.score(HELD_OUT))
    teacher.learn(LESSONS, 5)
    assert not same(teacher.score(HELD_OUT), scores)
    assert same(teacher.reference_scores(HELD_OUT), scores)
    assert same(teacher.reference(HELD_OUT), advice)


def test_weight_decides_between_contradicting_lessons(teacher):
    asked = question("red", "left")
    lessons = [Lesson(asked, np.eye(3)[0], 9.0), Lesson(asked, np.eye(3)[1], 1.0)]
    teacher.learn(lessons, 60)
    [advice_O] = teacher.advice([asked], teacher.score([asked]))
    np.testing.assert_allclose(advice_O, [0.9, 0.1, 0.0], atol=0.1)


def test_a_lesson_without_a_finite_loss_is_taken_back(teacher):
    before = teacher.score(HELD_OUT)
    with pytest.raises(LessonError, match="nan"):
        teacher.learn([Lesson(HELD_OUT[0], np.full(3, np.nan), 1.0)], 2)
    assert same(teacher.score(HELD_OUT), before) and teacher.version == 0


def test_same_seed_same_teacher(folder):
    taught = []
    for seed in (3, 3, 4):
        teacher = LocalTeacher(folder, seed, FLOAT32)
        teacher.learn(LESSONS, 3)
        taught.append(teacher.score(HELD_OUT))
    assert all(np.array_equal(a, b) for a, b in zip(taught[0], taught[1], strict=True))
    assert not same(taught[0], taught[2])


def test_loading_continues_where_saving_stopped(teacher, folder, tmp_path):
    teacher.calibrate(HELD_OUT)
    teacher.learn(LESSONS, 5)
    teacher.save(tmp_path)
    loaded = LocalTeacher(folder, seed=9, config=FLOAT32)
    loaded.seed = teacher.seed
    loaded.load(tmp_path)
    assert (loaded.version, loaded.calibration.bias) == (teacher.version, teacher.calibration.bias)
    assert same(loaded.score(HELD_OUT), teacher.score(HELD_OUT))
    assert loaded.learn(LESSONS, 5) == pytest.approx(teacher.learn(LESSONS, 5), abs=1e-6)
    assert same(loaded.score(HELD_OUT), teacher.score(HELD_OUT))
    assert (tmp_path / "adapter_model.safetensors").exists()
    assert json.loads((tmp_path / "calibration.json").read_text())["version"] == 1


def test_loading_an_untaught_teacher_forgets_lessons(teacher, folder, tmp_path):
    LocalTeacher(folder, config=FLOAT32).save(tmp_path)
    before = teacher.score(HELD_OUT)
    teacher.learn(LESSONS, 3)
    teacher.load(tmp_path)
    assert same(teacher.score(HELD_OUT), before)
    assert teacher.version == 0


def test_untrained_is_the_same_architecture_with_seeded_random_weights(folder, teacher):
    def untrained(seed: int) -> LocalTeacher:
        return LocalTeacher(folder, seed, LocalConfig(dtype="float32", untrained=True))

    assert same(untrained(1).score(HELD_OUT), untrained(1).score(HELD_OUT))
    assert not same(untrained(1).score(HELD_OUT), untrained(2).score(HELD_OUT))
    assert untrained(1).model.config.hidden_size == teacher.model.config.hidden_size


def test_tokens_are_counted(teacher):
    before = teacher.tokens
    teacher.score(HELD_OUT[:1])
    cost = teacher.tokens - before
    teacher.score(HELD_OUT[:1] * 5)
    more = 5 if teacher.model.config.is_encoder_decoder else 1  # a trie holds the same question once
    assert teacher.tokens == before + (1 + more) * cost


def test_a_folder_without_a_model_is_a_mistake_of_the_users(tmp_path):
    with pytest.raises(UserError, match="No language model"):
        LocalTeacher(tmp_path)
