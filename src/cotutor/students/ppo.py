"""Stable-Baselines3's PPO on a task, guided or plain."""

from functools import partial

from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor

from cotutor.config import TrainConfig
from cotutor.students.encoder import Encoder
from cotutor.students.guidance import GuidedPolicy
from cotutor.tasks.base import SpokenEnv, Task


def make_envs(task: Task, student: str, count: int) -> VecEnv:
    """Makes ``count`` environments of a task that step together in this process."""
    return VecMonitor(DummyVecEnv([partial(SpokenEnv, task, student)] * count))


def make_ppo(envs: VecEnv, config: TrainConfig, guided: bool) -> PPO:
    """Makes the student; only its policy's class depends on whether it is guided."""
    settings = config.ppo
    return PPO(
        GuidedPolicy if guided else "MultiInputPolicy",
        envs,
        learning_rate=settings.learning_rate,
        n_steps=settings.steps,
        batch_size=settings.batch_size,
        n_epochs=settings.epochs,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        clip_range=settings.clip_range,
        ent_coef=settings.entropy,
        policy_kwargs={"features_extractor_class": Encoder, "net_arch": [64]},
        seed=config.seed,
        device="cpu",
    )
