"""Mutual teaching for anyone's Stable-Baselines3 script: two objects, the environments to learn on and a callback."""

from functools import partial

from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from cotutor.adviser import Adviser
from cotutor.cluster.replicas import Replicas
from cotutor.config import TrainConfig, validate
from cotutor.errors import UserError
from cotutor.loop import Loop
from cotutor.memory import FeedbackMemory
from cotutor.students.guidance import GuidedVecEnv
from cotutor.tasks.base import Task
from cotutor.teachers import make_teacher
from cotutor.teachers.base import Teacher
from cotutor.trust import Trust


def attach(envs: VecEnv, task: Task, config: TrainConfig, rehearsing: int = 0) -> tuple[GuidedVecEnv, Loop]:
    """Attaches a teacher to environments.

    Args:
        envs: Environments that speak (:class:`cotutor.tasks.base.SpokenEnv`), under a ``VecMonitor``; in this process,
            if the teacher looks into them.
        task: Their task.
        config: Says which teacher, which method and how; ``task``, ``frames``, ``ppo`` and ``ray.env_actors`` are the
            caller's own affair, but for ``ppo.learning_rate`` and ``ppo.batch_size``, which distillation uses, and for
            ``ppo.steps`` and ``ppo.gae_lambda``, by which DQN and QRDQN are read.
        rehearsing: How many of the environments, the first ones, practise another task; trust is not judged by those.

    Returns:
        The environments on which the model must learn, with the guided policy of its algorithm
        (:mod:`cotutor.students.policies`), and the callback for ``model.learn``.

    Raises:
        UserError: The configuration is out of range, names something unknown, or its method is a rival's; or the
            teacher looks into the environments, and they are elsewhere.
    """
    validate(config)
    if config.arrows.rival is not None or config.arrows.language_policy:
        raise UserError(f"The method {config.method} cannot be attached to a student: use cotutor train.")
    adviser = make_adviser(task, config)
    ensure_within_reach(envs, adviser.teacher, config.teacher)
    trust = config.trust
    guide = GuidedVecEnv(
        envs,
        adviser,
        trust.trial_every,
        config.seed,
        prior=config.guidance.prior,
        rehearsing=rehearsing,
        probation_every=trust.probation_every,
        unrewarded_every=trust.unrewarded_every,
    )
    return guide, Loop(adviser, guide, config)


def ensure_within_reach(envs: VecEnv, teacher: Teacher, name: str) -> None:
    """Raises UserError if a teacher looks into environments that are elsewhere."""
    if teacher.privileged and not isinstance(envs.unwrapped, DummyVecEnv):
        raise UserError(f"The teacher {name} looks into the environments: step them here, in a DummyVecEnv.")


def make_adviser(task: Task, config: TrainConfig, adviser_class: type[Adviser] = Adviser) -> Adviser:
    """Makes the teacher that a configuration names, with an empty memory and no trust.

    Raises:
        UserError: The configuration names something unknown, or wants the teacher beside the student who cannot be.
    """
    make = partial(
        make_teacher,
        config.teacher,
        task,
        config.seed,
        dtype=config.dtype,
        restate=config.verbalizer.restate,
        shots=config.shots,
        served=config.served,
    )
    teacher = Replicas(make, config.ray) if config.ray.teacher_actors else make()
    teacher.most_characters = config.asking.most_characters
    if config.asking.beside and (teacher.remote or teacher.listens):
        raise UserError(f"The teacher {config.teacher} cannot answer beside the student: switch asking.beside off.")
    dialogue, trust = config.dialogue, config.trust
    return adviser_class(
        task,
        teacher,
        FeedbackMemory(len(task.actions), dialogue.decay, dialogue.shrinkage),
        Trust(trust.margin, trust.shrinkage, trust.decay, trust.trial_margin),
        dialogue,
        config.asking,
        realtime=config.arrows.realtime,
        probation=trust.probation,
    )
