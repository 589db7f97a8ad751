"""A served model that loads what a copy of it has learnt here."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from cotutor.config import ServedConfig, from_values
from cotutor.embedded import embedded_model
from cotutor.errors import SilentTeacherError, UserError
from cotutor.loop import RoundReport
from cotutor.scoring.served import exact
from cotutor.teachers.local import LocalConfig, LocalTeacher
from cotutor.teachers.swapping import Swapping
from cotutor.train import build
from cotutor.types import Lesson, Question
from tests.teachers.server import Served, serve
from tests.teachers.test_served import OPTIONS, QUESTION, TEMPLATE

OTHER = Question("The red ball is on your right.", OPTIONS)
LESSONS = [Lesson(QUESTION, np.array([0.05, 0.9, 0.05]), 1.0), Lesson(OTHER, np.array([0.9, 0.05, 0.05]), 1.0)]


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def served():
    teacher = LocalTeacher(embedded_model(), config=LocalConfig(template=TEMPLATE, dtype="float32"))
    with serve(teacher, adapts=True) as server:
        yield server


def make(server: Served, adapters: object = "") -> Swapping:
    config = ServedConfig(retries=0, weights=str(embedded_model()), adapters=str(adapters))
    return Swapping(f"tiny@{server.url}", TEMPLATE, config, seed=0, dtype="float32")


def test_the_server_answers_with_what_was_learnt_and_keeps_no_older_adapter(served, tmp_path):
    adapters = tmp_path / "adapters"
    teacher = make(served, adapters)
    assert teacher.way is exact
    before = teacher.score([QUESTION])
    np.testing.assert_allclose(before, teacher.local.score([QUESTION]), atol=1e-3)
    teacher.calibrate([QUESTION, OTHER])
    reference = teacher.reference([QUESTION])
    tokens = teacher.tokens
    teacher.learn(LESSONS, steps=8)
    assert teacher.tokens > tokens
    after = teacher.score([QUESTION])
    assert teacher.version == 1
    np.testing.assert_allclose(after, teacher.local.score([QUESTION]), atol=1e-3)
    taught, untaught = teacher.advice([QUESTION], after)[0], teacher.advice([QUESTION], before)[0]
    assert taught[1] > untaught[1] + 0.1
    np.testing.assert_allclose(teacher.reference([QUESTION]), reference, atol=1e-6)
    assert served.models == ["tiny", teacher.model]
    assert [path.name for path in adapters.iterdir()] == [teacher.model]
    teacher.close()
    assert served.models == ["tiny"]
    assert list(adapters.iterdir()) == []


@pytest.mark.parametrize("updates", [0, 1])
def test_what_is_saved_is_loaded_into_the_server_again(served, tmp_path, updates):
    teacher = make(served)
    teacher.calibrate([QUESTION, OTHER])
    for _ in range(updates):
        teacher.learn(LESSONS, steps=2)
    teacher.save(tmp_path / "saved")
    scores = teacher.score([QUESTION, OTHER])
    other = make(served)
    other.load(tmp_path / "saved")
    assert other.version == updates
    np.testing.assert_allclose(other.score([QUESTION, OTHER]), scores, atol=1e-4)
    assert other.learn(LESSONS, 2) == pytest.approx(teacher.learn(LESSONS, 2), abs=1e-4)
    other.close()
    teacher.close()
    assert served.models == ["tiny"]


def test_a_server_that_loads_nothing_is_found_out_before_anything_is_trained(served, temporary):
    served.adapts = False
    with pytest.raises(UserError, match="start vLLM with --enable-lora"):
        make(served)
    assert list(temporary.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(served, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"No adapter could be written .* --served\.adapters"):
        make(served, tmp_path / "file")


def test_lessons_take_exact_scores_and_the_same_model(served, tmp_path):
    served.echoes = False
    with pytest.raises(UserError, match="echoes no log-probabilities"):
        make(served)
    served.echoes = True
    other = tmp_path / "other"
    random = LocalTeacher(embedded_model(), config=LocalConfig(dtype="float32", untrained=True))
    random.model.save_pretrained(other)
    random.prompter.tokenizer.save_pretrained(other)
    config = ServedConfig(retries=0, weights=str(other))
    with pytest.raises(UserError, match="another than the server's"):
        Swapping(f"tiny@{served.url}", TEMPLATE, config, seed=0, dtype="float32")


def test_what_the_server_does_not_load_the_copy_unlearns(served):
    teacher = make(served)
    teacher.calibrate([QUESTION, OTHER])
    teacher.learn(LESSONS, steps=2)
    scores, served.adapts = teacher.local.score([QUESTION]), False
    with pytest.raises(SilentTeacherError):
        teacher.learn(LESSONS, steps=8)
    assert teacher.version == teacher.local.version == 1
    np.testing.assert_allclose(teacher.local.score([QUESTION]), scores, atol=1e-5)
    teacher.close()
    assert served.models == ["tiny", teacher.model], "a server that does not answer keeps it, and nobody minds"


def test_a_run_whose_server_loads_no_adapters_any_more_goes_on_and_says_so(served):
    config = from_values(
        {
            "teacher": f"openai:tiny@{served.url}",
            "ppo": {"envs": 4, "steps": 32, "batch_size": 64},
            "asking": {"per_round": 4},
            "served": {"weights": str(embedded_model()), "retries": 0},
            "lessons": {"every": 1, "least_news": 0.0, "steps": 1, "most": 4},
            "guidance": {"distillation": False},
        }
    )
    pair = build(config)
    reports: list[RoundReport] = []

    def after_a_round(report: RoundReport) -> None:
        reports.append(report)
        served.adapts = report.teacher_updates == 0
        adviser.wait()

    adviser = pair.adviser
    assert adviser is not None and pair.loop is not None
    pair.loop.on_round = after_a_round
    pair.model.learn(1024, callback=pair.loop)
    assert len(reports) == 8
    assert reports[-1].teacher_updates == 1, "the server still answers with the first update"
    assert {failure.kind for report in reports for failure in report.failures} == {"status 404"}
    pair.close()
