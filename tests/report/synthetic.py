"""Synthetic runs, written with the real ledger."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from math import exp
from pathlib import Path

import numpy as np

from cotutor.config import TrainConfig, to_yaml
from cotutor.loop import RoundReport
from cotutor.runs.ledger import Ledger
from cotutor.runs.summary import Summary
from cotutor.types import Consultation, Feedback, Option, Question

PHRASES = ("turn left", "turn right", "go forward")
UNTRUSTED = (
    "<script>alert(1)</script> Your mission: go to the red ball.\n\x1b[31mIt is\u202e ahead on the left. </script>"
)

MUTUAL = Summary(
    task="babyai:GoToLocal",
    method="mutual",
    teacher="smollm2",
    student="text",
    seed=3,
    frames=40_960,
    rounds=40,
    wall_seconds=312.4,
    teacher_seconds=198.7,
    contexts_asked=2_391,
    teacher_updates=10,
    pair_success=0.984375,
    pair_success_greedy=0.96875,
    pair_return=0.81,
    student_success=0.890625,
    student_success_greedy=0.8984375,
    student_return=0.7,
    eval_episodes=128,
    frames_to_success={"0.5": 9_216, "0.75": 16_384, "0.9": 24_576, "0.95": 31_744},
    teacher_success_before=0.125,
    teacher_success_after=0.609375,
    bot_agreement_before=0.44,
    bot_agreement_after=0.81,
    agreement_ceiling=0.86,
    distinct_contexts=1_204,
    trust=0.83,
    repeatable=True,
)
PPO = replace(
    MUTUAL,
    method="ppo",
    teacher=None,
    teacher_seconds=None,
    contexts_asked=None,
    teacher_updates=None,
    teacher_success_before=None,
    teacher_success_after=None,
    bot_agreement_before=None,
    bot_agreement_after=None,
    agreement_ceiling=None,
    distinct_contexts=None,
    trust=None,
    pair_success=0.75,
    student_success=0.75,
    frames_to_success={"0.5": 9_216, "0.75": 30_720, "0.9": None, "0.95": None},
)


def consult(
    context: str,
    before: Sequence[float],
    after: Sequence[float],
    *,
    visits: Sequence[float] = (8.0, 4.0, 2.0),
    round_number: int = 0,
    phrases: Sequence[str] = PHRASES,
    trust: float = 0.5,
) -> Consultation:
    """Makes a consultation by hand."""
    advantage_O = np.array([1.25, -0.5, 0.0])
    return Consultation(
        round=round_number,
        question=Question(context, tuple(Option(phrase, action) for action, phrase in enumerate(phrases))),
        raw_O=np.array(before),
        calibrated_O=np.array(before),
        revised_O=np.array(after),
        feedback=Feedback(np.array(visits), advantage_O, np.ones(3), np.array(visits) / 2),
        trust=trust,
        teacher_version=0,
    )


def write_run(folder: Path, summary: Summary, consultations: Sequence[Consultation] = ()) -> Path:
    """Writes a run with learning curves that rise, and the consultations in its first round."""
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps(asdict(summary)))
    config = TrainConfig(task=summary.task, method=summary.method, seed=summary.seed, frames=summary.frames)
    (folder / "config.yaml").write_text(to_yaml(config))
    ledger = Ledger(folder / "ledger.sqlite", most=1_000_000)
    rng = np.random.default_rng(0)
    for i in range(summary.rounds):
        frames, rise = 1024 * (i + 1), 1 / (1 + exp((14 - i) / 4))
        for episode in range(40):
            success = bool(rng.random() < 0.3 + 0.68 * rise)
            ledger.add_episode(frames - 1024 + 25 * (episode + 1), episode % 16 == 15, 0.8 * success, 25, success)
        report = (
            None
            if summary.teacher is None
            else RoundReport(
                round=i,
                frames=frames,
                trust=max(0.0, rise - 0.15),
                gain=0.12 * rise + 0.01 * rng.normal(),
                asked=int(2391 * (1 - exp(-i / 12))),
                teacher_seconds=198.7 * (1 - exp(-i / 12)),
                teacher_updates=i // 4,
                lesson_loss=0.4,
                distillation_loss=0.2,
                consultations=list(consultations) if i == 0 else [],
            )
        )
        agreement = 0.44 + 0.37 * rise if report is not None and i % 4 == 0 else None
        ledger.add_round(report, i, frames, 7.8 * (i + 1), 0.5, agreement)
    ledger.close()
    return folder
