"""Rounds with scripted teachers, the real language model in seconds, and the same seed twice."""

import dataclasses
import io
import json

import numpy as np
import pytest
from rich.console import Console
from safetensors.torch import load_file

from cotutor.config import GuidanceConfig, LessonConfig, PPOConfig, TrainConfig
from cotutor.errors import UserError
from cotutor.memory import VISITS
from cotutor.runs.ledger import read
from cotutor.runs.summary import TIMES
from cotutor.train import train

SMALL = TrainConfig(
    frames=4096,
    student="image",
    threads=1,
    eval_episodes=48,
    teacher_eval_episodes=32,
    agreement_states=64,
    replays=1,
    ppo=PPOConfig(envs=16, steps=32),
    lessons=LessonConfig(every=2, most=16, steps=4, least_news=0.0),
)


HARDLY_MEASURED = {"eval_episodes": 2, "teacher_eval_episodes": 2, "agreement_states": 8}
"""For what is seen in the ledger and the folder, not in how well the pair does."""


def run(tmp_path, **changes):
    config = dataclasses.replace(SMALL, run_dir=tmp_path / "run", **changes)
    return train(config, Console(file=io.StringIO()))


def test_an_oracle_earns_trust_and_the_pair_succeeds(tmp_path):
    _, summary = run(tmp_path, teacher="oracle")
    assert summary.trust > 0.8
    assert summary.pair_success > 0.85
    assert summary.student_success > 0.6
    assert summary.contexts_asked == 0


def test_an_adversarial_teacher_earns_no_trust_one_way(tmp_path):
    """In a single seed noise may be trusted a little: 0.28 with seed 3, 0.00 with 4 to 8."""
    trust = [
        run(tmp_path / f"{seed}", teacher="adversarial", method="one-way", seed=seed, **HARDLY_MEASURED)[1].trust
        for seed in (3, 4, 5)
    ]
    assert np.mean(trust) < 0.2


def test_a_random_teacher_that_is_not_right_by_luck_earns_no_trust_one_way(tmp_path):
    """Its opinion is another with every seed: with seed 4 it is worth something, and trusted."""
    _, summary = run(tmp_path, teacher="random", method="one-way", seed=3)
    assert summary.trust < 0.2
    assert summary.pair_success == pytest.approx(summary.student_success, abs=0.15)


def test_ppo_has_no_teacher(tmp_path):
    folder, summary = run(tmp_path, method="ppo")
    assert summary.teacher is summary.trust is summary.contexts_asked is summary.bot_agreement_after is None
    assert summary.teacher_tokens is None
    assert summary.pair_success == summary.student_success
    assert not folder.teacher.exists()


def test_the_real_model_learns_from_the_student_and_the_ledger_tells(tmp_path):
    """Lessons from a student's feedback make the model better: alone it succeeds in 1.00 instead of 0.91.

    So it was with each of six seeds; its agreement with the bot, in eleven contexts, went from 0.66 to between 0.61 and
    0.83, four times above 0.79.
    """
    lessons = LessonConfig(every=10, most=16, steps=8, least_news=0.0, graduation=False)
    folder, summary = run(tmp_path, frames=10_240, seed=1, lessons=lessons)
    assert summary.teacher_updates == 2
    assert summary.bot_agreement_after >= summary.bot_agreement_before - 0.1
    assert summary.teacher_success_after >= summary.teacher_success_before + 0.05
    rows = read(folder.ledger, "SELECT * FROM consultations")
    assert summary.contexts_asked == len(rows)
    assert 10 * summary.contexts_asked < summary.teacher_tokens < 1_000_000
    for row in rows:
        options = json.loads(row["options"])
        for column in ("raw", "calibrated", "revised"):
            assert sum(json.loads(row[column])) == pytest.approx(1, abs=1e-4)
            assert len(json.loads(row[column])) == len(options) == 3
    assert any(row["teacher_version"] > 0 for row in rows)


def test_realtime_does_not_teach_and_lasting_does_not_revise(tmp_path):
    folder, summary = run(tmp_path, method="realtime", teacher="bow", **HARDLY_MEASURED)
    assert summary.teacher_updates == 0
    revised = read(folder.ledger, "SELECT count(*) AS n FROM consultations WHERE calibrated != revised")
    assert revised[0]["n"] > 0
    folder, summary = run(tmp_path / "lasting", method="lasting", teacher="bow", **HARDLY_MEASURED)
    assert summary.teacher_updates == 5, "one of them when training is over"
    revised = read(folder.ledger, "SELECT count(*) AS n FROM consultations WHERE calibrated != revised")
    assert revised[0]["n"] == 0


def test_when_training_is_over_the_teacher_learns_what_the_pair_does_and_the_pair_stays_as_it_is(tmp_path):
    untaught = dataclasses.replace(SMALL.lessons, every=12, graduation=False)
    taught = dataclasses.replace(untaught, graduation=True)
    plain, before = run(tmp_path / "without", teacher="bow", frames=10_240, lessons=untaught)
    kept, after = run(tmp_path / "with", teacher="bow", frames=10_240, lessons=taught)
    assert (before.teacher_updates, after.teacher_updates) == (1, 2)
    assert after.teacher_success_after > before.teacher_success_after + 0.1
    assert after.pair_success == before.pair_success
    assert after.contexts_asked == before.contexts_asked
    assert all(np.array_equal(tensor, weights(kept.student)[name]) for name, tensor in weights(plain.student).items())
    remembered = [load_file(folder.dialogue / "memory.safetensors")["feedback"] for folder in (plain, kept)]
    assert np.array_equal(*remembered)


def weights(path):
    return {name: tensor.numpy() for name, tensor in load_file(path).items()}


def test_an_update_waits_until_lessons_tell_the_teacher_something(tmp_path):
    lessons = dataclasses.replace(SMALL.lessons, least_news=50.0, graduation=False)
    folder, summary = run(tmp_path, teacher="bow", lessons=lessons, **HARDLY_MEASURED)
    assert summary.teacher_updates == 0
    assert summary.bot_agreement_after == summary.bot_agreement_before
    feedback = load_file(folder.dialogue / "memory.safetensors")["feedback"]
    assert feedback[:, :, VISITS].sum() > 0.5 * summary.frames  # untaught, hence not forgotten


@pytest.mark.slow
def test_distillation_leaves_the_pair_as_it_is_and_teaches_the_graduate(tmp_path):
    """Advice distilled into PPO's residual would count twice."""
    kept, taught = run(tmp_path / "with", teacher="oracle", frames=6144)
    plain, untaught = run(
        tmp_path / "without", teacher="oracle", frames=6144, guidance=GuidanceConfig(distillation=False)
    )
    ours, theirs = weights(kept.student), weights(plain.student)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert taught.pair_success == untaught.pair_success
    assert taught.student_success > untaught.student_success + 0.1
    assert kept.graduate.exists()
    assert not plain.graduate.exists()


def test_without_the_prior_advice_is_distilled_into_the_policy(tmp_path):
    folder, summary = run(
        tmp_path, teacher="oracle", frames=8192, guidance=GuidanceConfig(prior=False), **HARDLY_MEASURED
    )
    assert summary.pair_success == pytest.approx(summary.student_success, abs=1e-9)
    assert not folder.graduate.exists()
    trials = read(folder.ledger, "SELECT count(*) AS n FROM episodes WHERE trial")
    assert trials[0]["n"] == 0
    kinds = read(folder.ledger, "SELECT DISTINCT typeof(length) AS kind FROM episodes")
    assert [row["kind"] for row in kinds] == ["integer"]


def test_the_budget_is_kept(tmp_path):
    asking = dataclasses.replace(SMALL.asking, per_round=3)
    folder, _ = run(tmp_path, teacher="uniform", method="realtime", asking=asking, **HARDLY_MEASURED)
    counts = read(folder.ledger, "SELECT count(*) AS n FROM consultations GROUP BY round")
    assert max(row["n"] for row in counts) <= 3


@pytest.mark.slow
def test_the_same_seed_gives_the_same_summary(tmp_path):
    def figures(name: str) -> dict:
        _, summary = run(tmp_path / name, frames=1536, **HARDLY_MEASURED)
        return {field: value for field, value in dataclasses.asdict(summary).items() if field not in TIMES}

    assert figures("first") == figures("second")


def test_the_finished_pair_is_measured_on_another_task(tmp_path):
    few = {"task": "varied:Fetch2", "frames": 512, **HARDLY_MEASURED}
    _, summary = run(tmp_path, transfer=("varied:Fetch2-unseen",), teacher="bow", **few)
    assert summary.transfer.keys() == {"varied:Fetch2-unseen"}
    measured = summary.transfer["varied:Fetch2-unseen"]
    assert measured.keys() == {"pair", "student", "teacher", "untaught", "bot_agreement"}
    assert all(0 <= value <= 1 for value in measured.values())
    _, alone = run(tmp_path / "ppo", method="ppo", **few)
    assert alone.transfer == {}


@pytest.mark.parametrize("other", ["babyai:GoToLocal", "varied:None"])
def test_a_transfer_task_that_cannot_be_measured_is_refused_before_training(tmp_path, other):
    with pytest.raises(UserError):
        run(tmp_path, task="varied:Fetch2", transfer=("varied:Fetch2-unseen", other), teacher="bow")
    assert not (tmp_path / "run").exists()
