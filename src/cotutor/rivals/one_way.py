"""What the rivals share: a loop in which nothing comes back to the teacher, and trust that is set, not earned."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

from cotutor.adviser import LOG_FLOOR, Adviser, per_action
from cotutor.attach import ensure_within_reach, make_adviser
from cotutor.config import TrainConfig
from cotutor.loop import Loop, Rollout
from cotutor.stateful import Stateful
from cotutor.students.guidance import GuidedVecEnv
from cotutor.tasks.base import Task
from cotutor.trust import Trust
from cotutor.types import FloatArray, Question

GuideClass = Callable[[VecEnv, Adviser, int, int], GuidedVecEnv]


class SetTrust(Trust):
    """Trust that is set from outside and the same in every context."""

    changes = ("set",)

    def __init__(self, value: float) -> None:
        super().__init__(margin=0.0, shrinkage=0.0, decay=0.0, trial_margin=0.0)
        self.set = value

    @property
    def value(self) -> float:
        return self.set

    def of(self, context: str) -> float:
        return self.set


class StrictAdviser(Adviser):
    """An adviser to whom an action that is not offered has no probability, instead of a middling one.

    Our prior must not forbid what the teacher has no words for. A rival that acts on the advice, or takes it as a
    target, would waste steps on such actions.
    """

    def _per_action(self, question: Question, advice_O: FloatArray) -> tuple[FloatArray, FloatArray]:
        advice_A, _ = per_action(question, advice_O, len(self.task.actions))
        return advice_A, np.log(advice_A + LOG_FLOOR)


class OneWayLoop(Loop):
    """A round in which the teacher is asked and the student told; no feedback, no trust to earn, no lessons."""

    def judge(self, rollout: Rollout) -> None:
        """Does nothing: what the advice is worth is not measured."""

    def record(self, rollout: Rollout) -> None:
        """Counts the contexts met, by which the teacher is asked."""
        self.adviser.meet(rollout.contexts)
        self.adviser.refresh()

    @property
    def trust(self) -> float | None:
        return None


def one_way(
    envs: VecEnv, task: Task, config: TrainConfig, guide_class: GuideClass = GuidedVecEnv
) -> tuple[GuidedVecEnv, Adviser, TrainConfig]:
    """Attaches a teacher that is fully trusted and whose advice is not distilled into a graduate.

    Args:
        envs: Environments that speak; in this process, if the teacher looks into them.
        task: Their task.
        config: The run.
        guide_class: How the student is told; called with environments, adviser, trial episodes (none) and seed.

    Returns:
        The environments to learn on, the adviser, and the configuration without our own distillation.
    """
    adviser = make_adviser(task, config, StrictAdviser)
    ensure_within_reach(envs, adviser.teacher, config.teacher)
    adviser.trust = SetTrust(1.0)
    plain = replace(config, guidance=replace(config.guidance, distillation=False))
    return guide_class(envs, adviser, 0, config.seed), adviser, plain


class PatientPPO(PPO, Stateful):
    """PPO that does not learn while ``patient``: somebody else acts."""

    changes = ("patient",)
    patient = True

    def train(self) -> None:
        if not self.patient:
            super().train()
