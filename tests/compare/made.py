"""Runs made by hand."""

import numpy as np

from cotutor.compare.kept import Curve, KeptRun
from cotutor.compare.recipe import Recipe, parse_recipe
from cotutor.runs.summary import Summary

RECIPE = """
about: Does <script>alert(1)</script> it help?
settings: {threads: 1}
subject: mutual
methods:
  mutual: {method: mutual}
  mutual, <script>alert(2)</script>: {method: mutual, teacher: random}
  ppo: {method: ppo}
controls: ["mutual, <script>alert(2)</script>"]
tasks:
  near: {settings: {task: "babyai:GoToLocal", student: image, frames: 10240}}
"""


def made_recipe(text: str = RECIPE) -> Recipe:
    return parse_recipe("made", text)


def made_run(
    task: str,
    method: str,
    seed: int,
    level: float = 0.9,
    *,
    rounds: int = 10,
    taught: bool = True,
    frames_to: dict[str, int | None] | None = None,
    settings: dict | None = None,
    transfer: dict[str, dict[str, float]] | None = None,
) -> KeptRun:
    """Makes a run that rises to ``level``, 1,024 frames and two seconds a round."""
    rise = [round(level * (1 - np.exp(-(i + 1) / 2)), 4) for i in range(rounds)]
    none = [None] * rounds
    reached = {"0.5": None, "0.75": None, "0.9": None, "0.95": None} | (frames_to or {})
    summary = Summary(
        task="babyai:GoToLocal", method="mutual" if taught else "ppo", teacher="smollm2" if taught else None,
        student="image", seed=seed, frames=1024 * rounds, rounds=rounds, wall_seconds=2.0 * rounds,
        teacher_seconds=1.0 * rounds if taught else None, contexts_asked=64 * rounds if taught else None,
        teacher_updates=1 if taught else None, pair_success=level, pair_success_greedy=level, pair_return=level,
        student_success=level / 2, student_success_greedy=level / 2, student_return=level / 2, eval_episodes=128,
        frames_to_success=reached, teacher_success_before=0.2 if taught else None,
        teacher_success_after=0.8 if taught else None, bot_agreement_before=0.3 if taught else None,
        bot_agreement_after=0.7 if taught else None, agreement_ceiling=0.9 if taught else None,
        distinct_contexts=99 if taught else None, trust=0.7 if taught else None, repeatable=True,
        transfer=transfer or {},
    )  # fmt: skip
    curve = Curve(
        frames=[1024 * (i + 1) for i in range(rounds)],
        seconds=[1024 * 0.002 * (i + 1) for i in range(rounds)],
        success=[None, *rise[1:]],
        trust=list(rise) if taught else none,
        gain=list(rise) if taught else none,
        asked=[64 * (i + 1) for i in range(rounds)] if taught else none,
        teacher_seconds=[1.0 * (i + 1) for i in range(rounds)] if taught else none,
        teacher_agreement=[0.3 + 0.04 * i if i % 3 == 0 else None for i in range(rounds)] if taught else none,
    )
    return KeptRun(task, method, seed, settings or {}, summary, curve)
