"""How fast a teacher scores and learns: the packed trie against a padded row per option, and against matrix products.

    python benchmarks/teacher_speed.py [--task babyai:GoToLocal] [--contexts 512] [--dtype auto] [--json FILE]
        [--lamorel CHECKOUT]

The contexts are those that a random walk through the task meets, each once and in that order, asked ``--at-once`` at a
time as in a round of training, with ``--options`` phrases to choose from. All scorers take turns in one process; only
the ratios of their medians count. The share of the limit is that of a matrix product measured beside them, counted on
what any scorer must compute: the layers for the trie over all that is asked at once, and the vocabulary where an
option's token is predicted.
"""

import argparse
import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import lamorel
import numpy as np
import torch
from minigrid.core.constants import COLOR_NAMES as COLOUR_NAMES
from rich.console import Console
from rich.table import Table
from transformers import PreTrainedModel
from turns import seconds_of

from cotutor.doctor import gemm_rate
from cotutor.embedded import embedded_model
from cotutor.hardware import accelerator
from cotutor.scoring import Scorer
from cotutor.scoring.prompts import Prompt
from cotutor.scoring.rows import RowScorer
from cotutor.scoring.trie import TrieScorer, pack
from cotutor.tasks import make_task
from cotutor.teachers.local import LocalConfig, LocalTeacher
from cotutor.types import Lesson, Option, Question

ROWS = (7, 32, 256)
TRIES = (384, 1024, 2048, 4096, 8192)
ACTIONS = ("turn left", "turn right", "go forward", "pick up", "drop", "toggle", "wait")
VERBS = ("go to", "pick up", "open", "drop")
THINGS = ("ball", "box", "key", "door")
LESSONS, STEPS = 96, 12
"""An update of the teacher as training does it."""
DIFFERENCE = 0.5
"""Nats by which scores of 20 and more may differ that are computed in another order in bfloat16."""


def phrases(count: int) -> tuple[Option, ...]:
    """Returns options: the actions of MiniGrid, and what one could do with things of all colours."""
    more = [f"{verb} the {colour} {thing}" for verb in VERBS for thing in THINGS for colour in COLOUR_NAMES]
    return tuple(Option(phrase, action) for action, phrase in enumerate([*ACTIONS, *more][:count]))


def questions_of(name: str, count: int, options: int) -> list[Question]:
    """Returns questions about the first ``count`` distinct contexts of a random walk."""
    task = make_task(name)
    env = task.make_env()
    env.action_space.seed(0)
    observation, _ = env.reset(seed=0)
    contexts: dict[str, None] = {}
    while len(contexts) < count:
        contexts[task.describe(observation)] = None
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            observation, _ = env.reset()
    return [Question(context, phrases(options)) for context in contexts]


def needed(model: PreTrainedModel, asked: Sequence[Sequence[Prompt]]) -> tuple[int, float]:
    """Returns the tokens and the floating-point operations that no scorer of these questions can do without."""
    tokens = predicting = 0
    for prompts in asked:
        for trie, members in pack(prompts, budget=10**9):
            tokens += len(trie.tokens)
            predicting += len({node for _, options in members for option in options for node in option})
    head = model.get_output_embeddings().weight
    layers = sum(p.numel() for p in model.parameters() if p.shape != head.shape)
    return tokens, 2.0 * (tokens * layers + predicting * head.numel())


def ensure_alike(rivals: dict[str, Scorer], ours: Iterable[Scorer], prompts: Sequence[Prompt]) -> None:
    """Raises SystemExit if a rival's scores are not ours: then it would not be the same work that is timed."""
    with torch.no_grad():
        expected = torch.cat(next(iter(ours))(prompts))
        for name, scorer in rivals.items():
            worst = float((torch.cat(scorer(prompts)) - expected).abs().max())
            if worst > DIFFERENCE:
                raise SystemExit(f"{name} scores differently, by up to {worst:.2f} nats: it is not timed.")


def score_all(scorer: Scorer, asked: Sequence[Sequence[Prompt]]) -> None:
    with torch.no_grad():
        for prompts in asked:
            for scores_O in scorer(prompts):
                scores_O.cpu()


def lessons_of(questions: Sequence[Question]) -> list[Lesson]:
    """Returns lessons with targets drawn at random."""
    random = np.random.default_rng(0)
    return [Lesson(question, random.dirichlet(np.ones(len(question.options))), 1.0) for question in questions]


def update_seconds(questions: Sequence[Question], dtype: str, row_tokens: int, rounds: int) -> float:
    """Returns the median time of an update of a teacher that packs rows of ``row_tokens``; the first does not count."""
    teacher = LocalTeacher(embedded_model(), config=LocalConfig(dtype=dtype, row_tokens=row_tokens))
    lessons = lessons_of(questions[:LESSONS])
    times = [seconds_of(lambda: teacher.learn(lessons, STEPS)) for _ in range(rounds + 1)]
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="babyai:GoToLocal")
    parser.add_argument("--contexts", type=int, default=512)
    parser.add_argument("--options", type=int, default=7)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--rows", type=int, nargs="*", default=ROWS, help="rows in a batch of the plain way")
    parser.add_argument("--row-tokens", type=int, nargs="*", default=TRIES, help="tokens in a packed row")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument("--lamorel", type=Path, help="a checkout of Lamorel's repository, whose scorer is timed, too")
    arguments = parser.parse_args()
    questions = questions_of(arguments.task, arguments.contexts, arguments.options)
    teacher = LocalTeacher(embedded_model(), config=LocalConfig(dtype=arguments.dtype))
    model = teacher.model
    prompts = [teacher.prompter(question) for question in questions]
    asked = [prompts[i : i + arguments.at_once] for i in range(0, len(prompts), arguments.at_once)]
    padded = {f"{rows} padded rows": RowScorer(model, rows) for rows in arguments.rows}
    packed = {f"trie of {size}": TrieScorer(model, size) for size in arguments.row_tokens}
    rivals: dict[str, Scorer] = {}
    if arguments.lamorel:
        rivals = lamorel.scorers(model, teacher.prompter.tokenizer, embedded_model(), arguments.lamorel)
        ensure_alike(rivals, packed.values(), prompts[:8])
    scorers: dict[str, Scorer] = {**padded, **rivals, **packed}
    times: dict[str, list[float]] = {name: [] for name in scorers}
    limits: list[float] = []
    for scorer in scorers.values():
        score_all(scorer, asked[:2])
        scorer.tokens = 0
    for _ in range(arguments.rounds):
        limits.append(gemm_rate(model.dtype, model.device, size=8192 if model.device.type == "cuda" else 1024))
        for name, scorer in scorers.items():
            times[name].append(seconds_of(lambda s=scorer: score_all(s, asked)))
    tokens, operations = needed(model, asked)
    limit = statistics.median(limits)
    medians = {name: statistics.median(values) for name, values in times.items()}
    plain = min((medians[name] for name in padded), default=float("nan"))
    figures = {
        name: {
            "contexts_per_second": len(prompts) / median,
            "times_plain": plain / median,
            "tokens_per_context": scorers[name].tokens / arguments.rounds / len(prompts),
            "share_of_limit": operations / median / limit,
            "seconds": times[name],
        }
        for name, median in medians.items()
    }
    updates = {
        name: update_seconds(questions, arguments.dtype, scorer.budget, arguments.rounds)
        for name, scorer in packed.items()
    }
    about = {
        "device": accelerator() or f"CPU, {torch.get_num_threads()} threads",
        "dtype": str(model.dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "task": arguments.task,
        "contexts": len(prompts),
        "options": arguments.options,
        "at_once": arguments.at_once,
        "tokens_needed_per_context": tokens / len(prompts),
        "matrix_product_flops": limit,
    }
    show(about, figures, updates)
    if arguments.json:
        by_size = {packed[name].budget: seconds for name, seconds in updates.items()}
        whole = about | {"scorers": figures, "seconds_an_update": by_size}
        arguments.json.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def show(about: dict[str, Any], figures: dict[str, dict[str, Any]], updates: dict[str, float]) -> None:
    """Prints the figures of each scorer, and the seconds of an update of those that teachers use."""
    work = f"{about['contexts']} contexts of {about['task']}, {about['options']} options"
    table = Table(title=f"{about['device']}, {about['dtype']}: {work}")
    for head in ("scorer", "each s", "x plain", "tokens", "of limit", "s/update"):
        table.add_column(head, justify="left" if head == "scorer" else "right", no_wrap=head == "scorer")
    for name, figure in figures.items():
        table.add_row(
            name,
            f"{figure['contexts_per_second']:,.1f}",
            f"{figure['times_plain']:.2f}",
            f"{figure['tokens_per_context']:.1f}" if figure["tokens_per_context"] else "",
            f"{figure['share_of_limit']:.1%}",
            f"{updates[name]:.2f}" if name in updates else "",
        )
    Console().print(table)
    limit = about["matrix_product_flops"] / 1e12
    print(f"Needed: {about['tokens_needed_per_context']:.1f} tokens a context; limit {limit:.2f} TFLOP/s.")


if __name__ == "__main__":
    main()
