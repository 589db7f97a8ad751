"""``llm-alone``: the language model acts and nobody learns; what zero-shot advice is worth by itself.

The baseline of every paper in the field (SayCan, arXiv 2204.01691, is the best known of those that score options by
likelihood). Actions are drawn from the calibrated advice. The student's logits are zero, so that the prior, at full
weight, is the whole policy.

Departures: the teacher is asked within the budget of the other methods, so in training a context that was not asked
yet is acted in at random; in the evaluation at the end every context is asked.
"""

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

from cotutor.config import TrainConfig
from cotutor.loop import Loop
from cotutor.rivals.one_way import OneWayLoop, PatientPPO, one_way
from cotutor.students.policies import GuidedPolicy
from cotutor.students.ppo import make_ppo
from cotutor.tasks.base import Task


def make(envs: VecEnv, task: Task, config: TrainConfig) -> tuple[PPO, Loop]:
    """Makes a student that only carries out what the teacher says, and its loop."""
    guide, adviser, plain = one_way(envs, task, config)
    model = make_ppo(guide, config, GuidedPolicy, PatientPPO)
    silence(model)
    return model, OneWayLoop(adviser, guide, plain)


def silence(model: PPO) -> None:
    """Makes the student's own logits zero: its policy is uniform, or the prior."""
    for parameter in model.policy.action_net.parameters():
        torch.nn.init.zeros_(parameter)
