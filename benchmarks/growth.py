"""How cost grows: with options, words of a context, contexts remembered, and environments.

    python benchmarks/growth.py [--json FILE]

Scoring is of the embedded model, of 16 contexts at once; contexts, answers and environments are made up.
"""

import argparse
import json
import resource
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from teacher_speed import phrases, questions_of
from turns import seconds_of, show

from cotutor.embedded import embedded_model
from cotutor.memory import FeedbackMemory
from cotutor.students.ppo import make_envs
from cotutor.tasks import make_task
from cotutor.teachers.local import LocalConfig, LocalTeacher
from cotutor.types import Question

TASK = "babyai:GoToLocal"
OPTIONS = (2, 4, 8, 16, 32, 64)
TOKENS = (32, 128, 512, 2048)
CONTEXTS = (100, 1_000, 10_000, 100_000, 1_000_000)
ENVS = (1, 4, 16, 64, 256)
AT_ONCE = 16
REPEATS = 3
STEPS_A_ROUND = 2048

Figures = list[dict[str, float]]


def median_seconds(work: Callable[[], object]) -> float:
    """Returns the median time of a few repeats."""
    return statistics.median(seconds_of(work) for _ in range(REPEATS))


def scoring(teacher: LocalTeacher, questions: Sequence[Question]) -> dict[str, float]:
    """Returns the milliseconds and the tokens of a context."""
    teacher.score(questions[:2])
    tokens = teacher.tokens
    seconds = median_seconds(lambda: teacher.score(questions))
    each = (teacher.tokens - tokens) / REPEATS / len(questions)
    return {"milliseconds": 1e3 * seconds / len(questions), "tokens": each}


def by_options(teacher: LocalTeacher) -> Figures:
    """Scoring with more and more options."""
    return [{"options": count, **scoring(teacher, questions_of(TASK, AT_ONCE, count))} for count in OPTIONS]


def by_words(teacher: LocalTeacher) -> Figures:
    """Scoring of longer and longer contexts, whose words differ from the first on."""
    random, words = np.random.default_rng(0), ["red", "blue", "ball", "box", "key", "door", "left", "right", "ahead"]
    figures: Figures = []
    for tokens in TOKENS:
        count = max(1, min(AT_ONCE, 2048 // tokens))
        questions = [Question(" ".join(random.choice(words, tokens)), phrases(7)) for _ in range(count)]
        figures.append({"context_tokens": tokens, **scoring(teacher, questions)})
    return figures


def by_contexts() -> Figures:
    """What the feedback memory takes: a look-up, and a step of a rollout that is recorded, decay included."""
    figures: Figures = []
    for count in CONTEXTS:
        memory = FeedbackMemory(actions=7, decay=0.97, shrinkage=8.0)
        contexts = [f"Mission: go to the red ball. Ticket {i}." for i in range(count)]
        for i in range(0, count, 100_000):
            part = contexts[i : i + 100_000]
            memory.sums.add(part, np.ones((len(part), 4)), np.zeros(len(part), dtype=int))
        random = np.random.default_rng(0)
        rollout = [contexts[i] for i in random.integers(count, size=STEPS_A_ROUND)]
        actions, advantages = random.integers(7, size=STEPS_A_ROUND), random.normal(size=STEPS_A_ROUND)
        questions = [Question(context, phrases(7)) for context in rollout]
        lookup = median_seconds(lambda m=memory, q=questions: [m.feedback(each) for each in q])
        record = median_seconds(lambda m=memory, r=rollout, a=actions, v=advantages: m.record(r, a, v))
        figures.append(
            {
                "contexts": count,
                "lookup_microseconds": 1e6 * lookup / STEPS_A_ROUND,
                "update_microseconds": 1e6 * record / STEPS_A_ROUND,
                "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
            }
        )
    return figures


def by_envs() -> Figures:
    """Frames per second of more and more environments that are only stepped, contexts and word numbers included."""
    figures: Figures = []
    for count in ENVS:
        envs = make_envs(make_task(TASK), "text", count)
        envs.seed(0)
        envs.reset()
        steps = max(8, 1024 // count)
        actions = np.random.default_rng(0).integers(3, size=(steps, count))
        seconds = median_seconds(lambda e=envs, a=actions: [e.step(each) for each in a])
        figures.append({"envs": count, "frames_per_second": steps * count / seconds})
        envs.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    arguments = parser.parse_args()
    # memory first, whose peak is told
    parts: dict[str, Callable[[], Figures]] = {"contexts": by_contexts, "envs": by_envs}
    figures: dict[str, Figures] = {name: part() for name, part in parts.items()}
    teacher = LocalTeacher(embedded_model(), config=LocalConfig())
    for name, part in {"options": by_options, "words": by_words}.items():
        figures[name] = part(teacher)
    for name, rows in figures.items():
        show(f"growth with {name}", rows)
    if arguments.json:
        about: dict[str, Any] = {"task": TASK, "threads": torch.get_num_threads()}
        arguments.json.write_text(json.dumps(about | figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
