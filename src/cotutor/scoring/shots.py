"""Worked examples before a context: one- and few-shot prompts."""

from collections.abc import Iterator
from itertools import chain, islice, zip_longest

from cotutor.errors import UserError
from cotutor.tasks.base import SpokenEnv, Task

EXAMPLE_SEED = 1_500_000_000
"""Examples come from episodes seeded from here on, in which nobody is trained or measured."""

EPISODES = 16


def examples(task: Task, shots: int, template: str) -> str:
    """Returns worked examples, to be written before the template: contexts with what the expert does there.

    No context comes twice, and the answers take turns, for a prompt whose examples all have one answer teaches that
    answer (Zhao et al. 2021, "Calibrate before use"). The same call always returns the same examples, fewer shots the
    first of more.

    Args:
        task: A task with an expert, unless there are no shots.
        shots: How many examples.
        template: The text around a context, which stands for ``{context}`` in it.

    Raises:
        UserError: The task has no expert, or shows it too few contexts.
    """
    if not shots:
        return ""
    if not task.has_expert:
        raise UserError(f"Worked examples need a task with an expert, and {task.name} has none: use --shots 0.")
    answers: dict[str, str] = {}
    for context, phrase in _expert_answers(task):
        answers.setdefault(context, phrase)
    if len(answers) < shots:
        raise UserError(f"The task {task.name} gives only {len(answers)} worked examples: use fewer --shots.")
    by_answer: dict[str, list[str]] = {}
    for context, phrase in answers.items():
        by_answer.setdefault(phrase, []).append(template.replace("{context}", context) + f" {phrase}\n\n")
    in_turns = chain.from_iterable(zip_longest(*by_answer.values(), fillvalue=""))
    return "".join(islice(filter(None, in_turns), shots))


def _expert_answers(task: Task) -> Iterator[tuple[str, str]]:
    """Yields the contexts of the expert's episodes with the phrase of what it does, where there is one."""
    env = SpokenEnv(task, "image")
    for episode in range(EPISODES):
        _, info = env.reset(seed=EXAMPLE_SEED + episode)
        over = False
        while not over:
            action = env.expert_action()
            phrases = (option.phrase for option in task.options(info["context"]) if option.action == action)
            yield from ((info["context"], phrase) for phrase in islice(phrases, 1))
            _, _, terminated, truncated, info = env.step(action)
            over = terminated or truncated
