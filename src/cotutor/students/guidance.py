"""Environments that carry the teacher's advice to the student's policy, and run the controlled trial.

The prior travels as one more entry of the Dict observation, so Stable-Baselines3 stores it in its buffers, and rollout
and training see the same policy (:mod:`cotutor.students.policies`); no algorithm is changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper

from cotutor.stateful import Stateful
from cotutor.students.policies import PRIOR
from cotutor.students.spaces import count_actions, entries
from cotutor.trust import Ended

RENEWED = 0.1
"""Share of the latest episode in what is remembered of how long episodes last."""


class Adviser(Protocol):
    """Who gives the advice that the environment carries to the policy."""

    def read(self, contexts: Sequence[str]) -> list[str]:
        """Returns the contexts as the teacher reads them."""
        ...

    def ask_at_once(self, contexts: Sequence[str]) -> None:
        """Asks about new contexts before anything is done in them, if that is wanted."""
        ...

    def guide(self, contexts: Sequence[str], envs: Sequence[gym.Env[Any, Any]]) -> tuple[NDArray, NDArray]:
        """Returns log-advice per action, shape (E, A), zero where there is none, and trust, shape (E,)."""
        ...

    @property
    def on_probation(self) -> bool:
        """Whether too little trust has been earned yet for more than the trial to follow the advice."""
        ...

    @property
    def unrewarded(self) -> bool:
        """Whether no reward has told yet what any option is worth."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """What was known when the student chose its actions, for every environment.

    Attributes:
        contexts: The contexts, one per environment.
        log_advice_EA: The log-advice on each action, unweighted.
        weight_E: What weight of it was added to the logits.
        trial_E: Whether the episode belongs to the arm of the trial.
        chance_E: With what probability the episode was drawn to act with the prior.
        episode_E: Number of the episode, unique in a run.
    """

    contexts: list[str]
    log_advice_EA: NDArray[np.float64]
    weight_E: NDArray[np.float64]
    trial_E: NDArray[np.bool_]
    chance_E: NDArray[np.float64]
    episode_E: NDArray[np.int64]


class GuidedVecEnv(VecEnvWrapper, Stateful):
    """Puts the prior into the observation, runs the controlled trial, and remembers what was advised.

    One step in ``trial_every`` belongs to the trial, whose episodes are drawn at random: they act without the prior.
    While the teacher is on probation it is one in ``probation_every``, and the trial alone acts with the prior; until
    the first reward, when nothing can be lost by it, one in ``unrewarded_every``.

    A rival that tells the student something else overrides ``entry``, ``width`` and ``_tell``.

    Args:
        venv: Environments whose ``info`` carries ``context`` (:class:`cotutor.tasks.base.SpokenEnv`).
        adviser: Who advises.
        trial_every: Mean number of steps per step of the trial; 0 for no trial.
        seed: Seed of the draw.
        prior: Whether the advice reaches the policy's logits at all; without, there is nothing to try.
        rehearsing: How many environments, the first ones, practise what is mastered; trust is not judged by those.
        probation_every: The same as ``trial_every`` while the teacher is on probation; 0 for no difference.
        unrewarded_every: The same until the first reward, if that makes more trials; 0 for no difference.

    Attributes:
        entry: Name of the observation's entry that tells the student something.
        envs: The environments, where they step in this process.
    """

    changes = ("random", "trial_E", "with_prior_E", "chance_E", "episode_E", "lengths", "steps", "rewards", "ended")
    entry = PRIOR

    def __init__(
        self,
        venv: VecEnv,
        adviser: Adviser,
        trial_every: int,
        seed: int,
        prior: bool = True,
        rehearsing: int = 0,
        probation_every: int = 0,
        unrewarded_every: int = 0,
    ) -> None:
        self.actions = count_actions(venv.action_space)
        space = gym.spaces.Box(-np.inf, np.inf, (self.width,), dtype=np.float32)
        super().__init__(venv, gym.spaces.Dict({**entries(venv.observation_space), self.entry: space}))
        self.plain = venv.unwrapped
        self.envs = self.plain.envs if isinstance(self.plain, DummyVecEnv) else []
        self.adviser = adviser
        self.trial_every = trial_every
        self.probation_every = probation_every or trial_every
        self.unrewarded_every = min(unrewarded_every or self.probation_every, self.probation_every)
        self.prior = prior
        self.rehearsing = rehearsing
        self.random = np.random.default_rng(seed)
        self.trial_E = np.zeros(self.num_envs, dtype=bool)
        self.with_prior_E = np.zeros(self.num_envs, dtype=bool)
        self.chance_E = np.zeros(self.num_envs)
        self.episode_E = np.arange(self.num_envs)
        self.lengths: dict[bool, float] = {}
        self.steps: list[Step] = []
        self.rewards: list[NDArray[np.float32]] = []
        self.ended: list[Ended] = []

    @property
    def width(self) -> int:
        """Size of the entry."""
        return self.actions

    def reset(self) -> dict[str, NDArray[Any]]:
        observations = cast(dict[str, NDArray[Any]], self.venv.reset())
        self.steps, self.rewards, self.ended = [], [], []
        for i in range(self.num_envs):
            self._begin(i)
        return self._advise(observations, [info["context"] for info in self.plain.reset_infos])

    def step_wait(self):
        observations, rewards, dones, infos = self.venv.step_wait()
        self.rewards.append(rewards.copy())
        for i in np.flatnonzero(dones).tolist():
            infos[i]["terminal_observation"][self.entry] = np.zeros(self.width, dtype=np.float32)
            infos[i] |= {"trial": bool(self.trial_E[i]), "with_prior": bool(self.with_prior_E[i])}
            if i >= self.rehearsing:
                self.ended.append(
                    Ended(bool(self.with_prior_E[i]), bool(self.trial_E[i]), float(infos[i]["episode"]["r"]))
                )
            self._note_length(bool(self.with_prior_E[i]), infos[i]["episode"]["l"])
            self.episode_E[i] += self.num_envs
            self._begin(i)
        current = [self.plain.reset_infos[i] if dones[i] else infos[i] for i in range(self.num_envs)]
        return (
            self._advise(cast(dict[str, NDArray[Any]], observations), [info["context"] for info in current]),
            rewards,
            dones,
            infos,
        )

    @property
    def waiting(self) -> int:
        """Steps taken that have not been handed over yet."""
        return len(self.rewards)

    def take_steps(self, count: int) -> tuple[list[Step], NDArray[np.float32], list[Ended]]:
        """Hands over the last rollout.

        The newest step, whose action is still to be chosen, stays.

        Returns:
            Its ``count`` steps; what the environments paid in them, shape (count, E), without the value that
            Stable-Baselines3 adds to the last reward of an episode that was cut; and (with prior?, return) of every
            episode that ended.
        """
        steps, rewards, ended = self.steps[-count - 1 : -1], self.rewards[-count:], self.ended
        self.steps, self.rewards, self.ended = self.steps[-1:], [], []
        return steps, np.stack(rewards), ended

    def _begin(self, i: int) -> None:
        on_probation, tried = self.adviser.on_probation, self._trial_chance()
        self.trial_E[i] = self.prior and self.random.random() < tried
        self.with_prior_E[i] = self.prior and self.trial_E[i] == on_probation
        self.chance_E[i] = (tried if on_probation else 1 - tried) if self.prior else 0.0

    def _note_length(self, with_prior: bool, length: int) -> None:
        """Takes note of how long episodes with the prior, or without it, last."""
        self.lengths[with_prior] = (1 - RENEWED) * self.lengths.get(with_prior, length) + RENEWED * length

    def _trial_chance(self) -> float:
        """Returns with what probability the next episode is one of the trial.

        Episodes that go wrong last longest: a trial of one episode in n costs far more than one step in n where the
        advice is bad, which is what it is to find out. So the share that is meant is that of steps: for episodes of
        the trial that last t, and others that last r, t·p / (t·p + r·(1 − p)) = 1/n.
        """
        every, on_probation = self._trial_every(), self.adviser.on_probation
        if not every:
            return 0.0
        if len(self.lengths) < 2:
            return 1 / every
        trial, rest = self.lengths[on_probation], self.lengths[not on_probation]
        return rest / (rest + (every - 1) * trial)

    def _trial_every(self) -> int:
        """Returns the mean number of steps per step of the trial as things stand."""
        if not self.adviser.on_probation:
            return self.trial_every
        return self.unrewarded_every if self.adviser.unrewarded else self.probation_every

    def _advise(self, observations: dict[str, NDArray[Any]], contexts: list[str]) -> dict[str, NDArray[Any]]:
        contexts = self.adviser.read(contexts)
        self.adviser.ask_at_once(
            [context for context, has_prior in zip(contexts, self.with_prior_E, strict=True) if has_prior]
        )
        log_advice_EA, trust_E = self.adviser.guide(contexts, self.envs)
        full_E = np.where(self.trial_E, 1.0, trust_E)
        weight_E = np.where(self.with_prior_E, full_E, 0.0)
        self.steps.append(
            Step(contexts, log_advice_EA, weight_E, self.trial_E.copy(), self.chance_E.copy(), self.episode_E.copy())
        )
        return {**observations, self.entry: self._tell(log_advice_EA, weight_E).astype(np.float32)}

    def _tell(self, log_advice_EA: NDArray[np.float64], weight_E: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the entry, shape (E, width)."""
        return weight_E[:, None] * log_advice_EA
