"""Stable-Baselines3's PPO on a task, guided or plain."""

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy, MultiInputActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor

from cotutor.cluster.envs import Make, RayVecEnv
from cotutor.config import RayConfig, TrainConfig
from cotutor.students.encoder import Encoder
from cotutor.students.policies import GuidedPolicy
from cotutor.students.spaces import entries
from cotutor.tasks.base import OFFERED, SpokenEnv, Task

Algorithm = TypeVar("Algorithm", bound=PPO)
AnyTask = TypeVar("AnyTask", bound=Task)
HERE = RayConfig()


def make_envs(task: Task, student: str, count: int, rehearsed: Sequence[Task] = (), ray: RayConfig = HERE) -> VecEnv:
    """Makes ``count`` environments that step together: one of each task rehearsed, the rest of ``task``."""
    makes: list[Make] = [partial(SpokenEnv, each, student) for each in rehearsed_first(rehearsed, task, count)]
    return VecMonitor(RayVecEnv(makes, ray.env_actors, ray.address) if ray.env_actors else DummyVecEnv(makes))


def rehearsed_first(rehearsed: Sequence[AnyTask], task: AnyTask, count: int) -> list[AnyTask]:
    """Returns the task of each of ``count`` environments: one for each that is rehearsed, the rest learn ``task``."""
    return [*rehearsed, *[task] * (count - len(rehearsed))]


def make_ppo(
    envs: VecEnv,
    config: TrainConfig,
    policy: type[ActorCriticPolicy] | None = None,
    algorithm: type[Algorithm] = PPO,
    **policy_options: Any,
) -> Algorithm:
    """Makes the student, whose network and settings are those of every method.

    Args:
        envs: What to learn on.
        config: The run.
        policy: Class of the policy: :class:`cotutor.students.policies.GuidedPolicy` reads the prior; by default
            Stable-Baselines3's own, or where not every action is always offered, one that does what is offered only.
        algorithm: PPO or what a method makes of it.
        policy_options: What else the policy's class needs to know.
    """
    settings = config.ppo
    plain = GuidedPolicy if OFFERED in entries(envs.observation_space) else MultiInputActorCriticPolicy
    return algorithm(
        policy or plain,
        envs,
        learning_rate=settings.learning_rate,
        n_steps=settings.steps,
        batch_size=settings.batch_size,
        n_epochs=settings.epochs,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        clip_range=settings.clip_range,
        ent_coef=settings.entropy,
        policy_kwargs={
            "features_extractor_class": Encoder,
            "features_extractor_kwargs": {"layer_norm": settings.layer_norm},
            "net_arch": [64],
            **policy_options,
        },
        seed=config.seed,
        device="cpu",
    )
