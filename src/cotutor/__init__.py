"""A language model and a reinforcement learner teach each other."""

from cotutor.attach import attach
from cotutor.config import TrainConfig
from cotutor.errors import UserError
from cotutor.students.encoder import Encoder
from cotutor.students.policies import (
    GuidedDQNPolicy,
    GuidedMaskablePolicy,
    GuidedMixin,
    GuidedPolicy,
    GuidedQRDQNPolicy,
    GuidedRecurrentMixin,
    GuidedRecurrentPolicy,
    GuidedValueMixin,
)
from cotutor.students.ppo import make_envs
from cotutor.tasks import Task, enumerated, make_task
from cotutor.teachers import Teacher, make_teacher
from cotutor.types import Option

__all__ = [
    "Encoder",
    "GuidedDQNPolicy",
    "GuidedMaskablePolicy",
    "GuidedMixin",
    "GuidedPolicy",
    "GuidedQRDQNPolicy",
    "GuidedRecurrentMixin",
    "GuidedRecurrentPolicy",
    "GuidedValueMixin",
    "Option",
    "Task",
    "Teacher",
    "TrainConfig",
    "UserError",
    "attach",
    "enumerated",
    "make_envs",
    "make_task",
    "make_teacher",
]
