"""``llm-policy``: the language model itself is the policy, trained by PPO on its LoRA weights and a value head.

Source: GLAM (Carta et al. 2023, arXiv 2302.02662) and its LoRA example in Lamorel (``examples/PPO_LoRA_finetuning``,
commit dce6f0d), the baseline of arXiv 2401.06603. As there, π(a|s) is the softmax over the summed token log-likelihoods
of the actions' phrases after the context, not calibrated; the value is an MLP (1024, 1024, sigmoid) on the model's last
hidden state at the context's end; both are trained together, without dropout, by PPO's clipped objective.

An *iteration* is one turn of Lamorel's outer loop: 256 frames (``steps_per_epoch``, over all environments), then one
PPO update of four passes over them. It is a round here, so 40 iterations are 10,240 frames and 2,100 are 537,600. (The
LoRA example's own file says 10 frames, with 256 beside it as a comment; GLAM's experiments took 32 environments x 40.)

Departures:

- The prompt is the context that every method here reads, with the template of the other teachers. Lamorel's example
  writes the mission, ``Observation:`` and ``Action:``; GLAM also the possible actions and the last three observations.
- Only the options of a context have a probability, instead of all six actions always.
- The model is causal and small (SmolLM2) instead of an encoder-decoder (Flan-T5). LoRA adapts every linear layer with
  rank 8, as for our other teachers, instead of the query and value projections with rank 16.
- Stable-Baselines3's PPO. Advantages are normalised per minibatch (Lamorel: per environment and rollout; GLAM: not at
  all); the value loss is not clipped (there: at ±0.2 of rewards times 20); minibatches are shuffled (Lamorel: not);
  the value's target is the λ-return (Lamorel: the discounted sum of rewards, λ = 0.99 is close to it); a time-out is
  bootstrapped (there: an end like any other).
- Numbers that differ from the source are said so beside them in :class:`cotutor.config.LanguagePolicyConfig`.

What only saves time: each distinct context of a minibatch is computed once, and a rollout remembers contexts until the
weights change. Neither changes a number but for rounding.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, cast

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, FlattenExtractor
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper
from torch import Tensor, nn

from cotutor.config import TrainConfig
from cotutor.errors import UserError
from cotutor.evaluation import Actor, Observations
from cotutor.loop import RoundReport
from cotutor.stateful import Stateful
from cotutor.students.policies import IMPOSSIBLE
from cotutor.students.spaces import count_actions, entries
from cotutor.tasks.base import SpokenEnv, Task
from cotutor.teachers import make_teacher
from cotutor.teachers.local import LocalTeacher
from cotutor.types import FloatArray, Question

NUMBER = "context_number"
HEAD_WIDTH = 1024
REFERENCE_STEPS = 512
LARGEST_NUMBER = 2**24
"""Stable-Baselines3 hands observations over as float32, which counts exactly up to here."""


class ContextVecEnv(VecEnvWrapper, Stateful):
    """Adds the number of the state's context to the observation, and scales the reward.

    Args:
        venv: Environments in this process whose ``info`` carries ``context`` (:class:`cotutor.tasks.base.SpokenEnv`).
        reward_scale: Factor on the reward that the learner sees; what a monitor below reports stays as it is.

    Attributes:
        texts: The contexts met so far; a context's number is its place.

    Raises:
        UserError: The environments step in other processes, or do not observe a Dict of boxes.
    """

    changes = ("texts", "_numbers")

    def __init__(self, venv: VecEnv, reward_scale: float = 1.0) -> None:
        space = gym.spaces.Box(0, LARGEST_NUMBER, (1,), dtype=np.int64)
        super().__init__(venv, gym.spaces.Dict({**entries(venv.observation_space), NUMBER: space}))
        if not isinstance(venv.unwrapped, DummyVecEnv):
            raise UserError("A language policy needs environments that step in this process: use a DummyVecEnv.")
        self.plain = venv.unwrapped
        self.reward_scale = reward_scale
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def reset(self) -> dict[str, NDArray[Any]]:
        observations = cast(dict[str, NDArray[Any]], self.venv.reset())
        return {**observations, NUMBER: np.stack([self._number(info) for info in self.plain.reset_infos])}

    def step_wait(self):
        observations, rewards, dones, infos = self.venv.step_wait()
        for i in np.flatnonzero(dones).tolist():
            infos[i]["terminal_observation"][NUMBER] = self._number(infos[i])
        current = [self.plain.reset_infos[i] if dones[i] else infos[i] for i in range(self.num_envs)]
        observations = cast(dict[str, NDArray[Any]], observations)
        numbers_E1 = np.stack([self._number(info) for info in current])
        return {**observations, NUMBER: numbers_E1}, self.reward_scale * rewards, dones, infos

    def _number(self, info: dict[str, Any]) -> NDArray[np.int64]:
        """Returns the number of an info's context, shape (1,)."""
        context = info["context"]
        if context not in self._numbers:
            self._numbers[context] = len(self.texts)
            self.texts.append(context)
        return np.array([self._numbers[context]])


class LanguagePolicy(ActorCriticPolicy, Stateful):
    """An actor-critic policy whose logits and value come from a language model that reads the context.

    Its parameters are the LoRA matrices and the value head. The base model is none of them, so that saving, gradient
    clipping and Stable-Baselines3's training mode leave it alone.

    Args:
        observation_space: A Dict space with the context's number.
        action_space: Discrete actions.
        lr_schedule: Learning rate by remaining progress.
        teacher: The language model, without LoRA matrices so far.
        task: Says what may be done in a context.
        texts: The contexts by number; may grow.
        others: Whatever else Stable-Baselines3 gives to policies.

    Attributes:
        asked: Contexts that went through the model so far, those of updates included.
        seconds: Seconds that reading contexts took outside of updates.
        tokens: Tokens that went through the model so far, those of updates included.
    """

    changes = ("asked", "seconds", "tokens")

    def __init__(
        self,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        lr_schedule: Schedule,
        *,
        teacher: LocalTeacher,
        task: Task,
        texts: Sequence[str],
        **others: Any,
    ) -> None:
        self.teacher = teacher
        self.task = task
        self.texts = texts
        self.actions = count_actions(action_space)
        self.asked = 0
        self.seconds = 0.0
        self.tokens = 0
        self._remembered: dict[str, tuple[Tensor, Tensor]] = {}
        self._weights: list[int] = []
        super().__init__(observation_space, action_space, lr_schedule, **others)

    def make_features_extractor(self) -> BaseFeaturesExtractor:
        return FlattenExtractor(entries(self.observation_space)[NUMBER])

    def _build(self, lr_schedule: Schedule) -> None:
        self.lora = nn.ParameterList(self.teacher.add_lora())
        self.value_net = nn.Sequential(
            nn.Linear(self.teacher.model.config.hidden_size, HEAD_WIDTH),
            nn.Sigmoid(),
            nn.Linear(HEAD_WIDTH, HEAD_WIDTH),
            nn.Sigmoid(),
            nn.Linear(HEAD_WIDTH, 1),
        )
        self.optimizer = self.optimizer_class(self.parameters(), **{"lr": lr_schedule(1), **self.optimizer_kwargs})

    def forward(self, obs: PyTorchObs, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        logits_BA, values_B1 = self._read(obs)
        distribution = self._distribution(logits_BA)
        actions = distribution.get_actions(deterministic=deterministic)
        return actions, values_B1, distribution.log_prob(actions)

    def evaluate_actions(self, obs: PyTorchObs, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        logits_BA, values_B1 = self._read(obs)
        distribution = self._distribution(logits_BA)
        return values_B1, distribution.log_prob(actions), distribution.entropy()

    def get_distribution(self, obs: PyTorchObs) -> Distribution:
        return self._distribution(self._read(obs)[0])

    def predict_values(self, obs: PyTorchObs) -> Tensor:
        return self._read(obs)[1]

    def probabilities(self, contexts: Sequence[str]) -> FloatArray:
        """Returns the action probabilities in contexts, shape (C, A)."""
        with torch.no_grad():
            logits_CA, _ = self._recall(contexts)
            return logits_CA.softmax(dim=1).double().cpu().numpy()

    def _distribution(self, logits_BA: Tensor) -> Distribution:
        return self.action_dist.proba_distribution(action_logits=logits_BA)

    def _read(self, obs: PyTorchObs) -> tuple[Tensor, Tensor]:
        """Returns logits, shape (B, A), and values, shape (B, 1); each distinct context is computed once."""
        assert isinstance(obs, dict)
        numbers_C, row_B = obs[NUMBER].long().flatten().unique(return_inverse=True)
        contexts = [self.texts[int(number)] for number in numbers_C]
        logits_CA, values_C1 = self._compute(contexts) if torch.is_grad_enabled() else self._recall(contexts)
        return logits_CA[row_B], values_C1[row_B]

    def _recall(self, contexts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Returns what :meth:`_compute` does, for contexts that may have been read with these weights already."""
        # torch counts every change of a tensor, be it an optimiser's or that of loading
        weights = [parameter._version for parameter in self.parameters()]
        if weights != self._weights:
            self._remembered, self._weights = {}, weights
        new = [context for context in dict.fromkeys(contexts) if context not in self._remembered]
        if new:
            began = time.perf_counter()
            self._remembered.update(zip(new, zip(*self._compute(new), strict=True), strict=True))
            self.seconds += time.perf_counter() - began
        logits, values = zip(*(self._remembered[context] for context in contexts), strict=True)
        return torch.stack(logits), torch.stack(values)

    def _compute(self, contexts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Returns logits, shape (C, A), and values, shape (C, 1), of distinct contexts; differentiable."""
        questions = [self.task.question(context) for context in contexts]
        before = self.teacher.tokens
        readings = self.teacher.encode(questions)
        self.tokens += self.teacher.tokens - before
        self.asked += len(contexts)
        logits = [
            action_logits(question, reading.scores_O, self.actions)
            for question, reading in zip(questions, readings, strict=True)
        ]
        return torch.stack(logits), self.value_net(torch.stack([reading.hidden_D for reading in readings]).float())


def action_logits(question: Question, scores_O: Tensor, actions: int) -> Tensor:
    """Returns the logits of actions, shape (A,), from their options' scores.

    The probabilities of phrases for the same action add up; an action without a phrase has none.
    """
    offered_OA = torch.zeros(len(question.options), actions, dtype=torch.bool, device=scores_O.device)
    offered_OA[range(len(question.options)), [option.action for option in question.options]] = True
    return torch.where(offered_OA, scores_O[:, None], IMPOSSIBLE).logsumexp(dim=0)


def make_language_ppo(task: Task, envs: VecEnv, config: TrainConfig) -> PPO:
    """Makes Stable-Baselines3's PPO with a language model as its policy.

    Args:
        task: What to learn.
        envs: Environments of the task in this process.
        config: Names the model as ``teacher``; ``seed``, ``dtype``, ``shots`` and ``llm_policy`` count too.

    Raises:
        UserError: The teacher is no language model on this machine.
    """
    if config.verbalizer.restate:
        raise UserError("The method llm-policy reads missions as they are: leave out --verbalizer.restate.")
    teacher = make_teacher(config.teacher, task, config.seed, dtype=config.dtype, shots=config.shots)
    if not isinstance(teacher, LocalTeacher):
        raise UserError(f"The method llm-policy needs a language model as --teacher, and {config.teacher!r} is none.")
    settings = config.llm_policy
    if settings.calibrated:
        contexts = islice(_reference_contexts(task, config.seed), REFERENCE_STEPS)
        teacher.calibrate([task.question(context) for context in dict.fromkeys(contexts)])
    numbered = ContextVecEnv(envs, settings.reward_scale)
    return PPO(
        LanguagePolicy,
        numbered,
        learning_rate=settings.learning_rate,
        n_steps=settings.steps,
        batch_size=settings.batch_size,
        n_epochs=settings.epochs,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        clip_range=settings.clip_range,
        ent_coef=settings.entropy,
        vf_coef=settings.value,
        max_grad_norm=settings.largest_gradient,
        policy_kwargs={"teacher": teacher, "task": task, "texts": numbered.texts},
        seed=config.seed,
        device=teacher.model.device,
    )


def _reference_contexts(task: Task, seed: int) -> Iterator[str]:
    """Yields the contexts that options drawn at random meet, without end."""
    env, random = SpokenEnv(task, "image"), np.random.default_rng(seed)
    while True:
        _, info = env.reset(seed=seed)
        seed, over = seed + 1, False
        while not over:
            yield info["context"]
            options = task.options(info["context"])
            _, _, terminated, truncated, info = env.step(options[random.integers(len(options))].action)
            over = terminated or truncated


def language_actor(policy: LanguagePolicy) -> Actor:
    """The language model as the policy."""

    def act(observations: Observations, contexts: Sequence[str], envs: Sequence[gym.Env[Any, Any]]) -> FloatArray:
        return policy.probabilities(contexts)

    return act


class LanguageRounds(BaseCallback, Stateful):
    """Counts the rounds of a language policy: a rollout, and PPO's update after it.

    Args:
        model: What :func:`make_language_ppo` made.
        on_round: Called with a report when a rollout has ended; the update that it leads to is in the next one.
    """

    changes = ("version", "update_seconds")

    def __init__(self, model: PPO, on_round: Callable[[RoundReport], None] = lambda report: None) -> None:
        super().__init__()
        self.policy = cast(LanguagePolicy, model.policy)
        self.on_round = on_round
        self.update_seconds = 0.0
        self._update_began: float | None = None

    @property
    def teacher(self) -> LocalTeacher:
        """The language model."""
        return self.policy.teacher

    @property
    def version(self) -> int:
        """How many updates there were."""
        return self.teacher.version

    @version.setter
    def version(self, version: int) -> None:
        self.teacher.version = version

    @property
    def actor(self) -> Actor:
        """How it acts."""
        return language_actor(self.policy)

    @property
    def asked(self) -> int:
        """Contexts that went through the model so far."""
        return self.policy.asked

    @property
    def tokens(self) -> int:
        """Tokens that went through the model so far."""
        return self.policy.tokens

    @property
    def distinct(self) -> int:
        """Number of contexts met so far."""
        return len(self.policy.texts)

    @property
    def seconds(self) -> float:
        """Seconds that the language model took so far, updates included."""
        return self.policy.seconds + self.update_seconds

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self._count_update()

    def _on_training_end(self) -> None:
        self._count_update()

    def _on_rollout_end(self) -> None:
        self.on_round(
            RoundReport(
                round=self.teacher.version,
                frames=self.model.num_timesteps,
                trust=None,
                gain=None,
                asked=self.asked,
                teacher_seconds=self.seconds,
                teacher_updates=self.teacher.version,
                lesson_loss=None,
                distillation_loss=None,
                consultations=[],
            )
        )
        self._update_began = time.perf_counter()

    def _count_update(self) -> None:
        """Takes note of the update since the last rollout, if there was one."""
        if self._update_began is not None:
            self.update_seconds += time.perf_counter() - self._update_began
            self.teacher.version += 1
            self._update_began = None
