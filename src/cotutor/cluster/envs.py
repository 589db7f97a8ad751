"""Environments that actors of Ray step, behind the contract of Stable-Baselines3's ``VecEnv``."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from cotutor.cluster.actors import Call, Replaceable, connect, go_to, wait_for_all
from cotutor.stateful import Stateful
from cotutor.tasks.base import SpokenEnv

Began = int | Mapping[str, Any]
"""How an episode began (:class:`cotutor.tasks.retraceable.Retraceable`)."""
Make = Callable[[], gym.Env[Any, Any]]
Arrays = dict[str, NDArray[Any]]


class Share:
    """The environments that one actor steps.

    Args:
        makes: Make them; each a :class:`cotutor.tasks.base.SpokenEnv`.
    """

    def __init__(self, makes: Sequence[Make]) -> None:
        self.makes = makes

    def make(self, folder: Path) -> None:
        """Makes them, in a working folder."""
        go_to(folder)
        self.envs = DummyVecEnv(list(self.makes))

    def reset(self, seed: int | None, options: list[Any]) -> tuple[Arrays, list[dict[str, Any]], list[Began]]:
        """Begins all episodes; returns observations, infos, and how they began."""
        if seed is not None:
            self.envs.seed(seed)
        self.envs.set_options(options)
        observations = cast(Arrays, self.envs.reset())
        return observations, self.envs.reset_infos, [self._began(i) for i in range(self.envs.num_envs)]

    def step(self, actions_E: NDArray[Any]) -> tuple[Arrays, NDArray[Any], NDArray[Any], list[Any], dict[int, Any]]:
        """Takes a step in each; beside what that gives, how the episodes began that follow one that ended."""
        observations, rewards_E, dones_E, infos = self.envs.step(actions_E)
        begun = {i: (self.envs.reset_infos[i], self._began(i)) for i in np.flatnonzero(dones_E).tolist()}
        return cast(Arrays, observations), rewards_E, dones_E, infos, begun

    def retrace(self, number: int, began: Began, actions: Sequence[Any]) -> Arrays:
        """Does again in one of them what was done since an episode began, and returns what is observed then."""
        env = self._spoken(number)
        env.retraceable.began, env.retraceable.actions = began, list(actions)
        return env.retrace()

    def forward(self, method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Does what a ``VecEnv`` does."""
        return getattr(self.envs, method)(*arguments, **named)

    def spaces(self) -> tuple[gym.Space[Any], gym.Space[Any]]:
        """Returns the spaces of observations and of actions."""
        return self.envs.observation_space, self.envs.action_space

    def _spoken(self, number: int) -> SpokenEnv:
        env = self.envs.envs[number]
        assert isinstance(env, SpokenEnv)
        return env

    def _began(self, number: int) -> Began:
        return self._spoken(number).retraceable.began


class RemoteEnv(Stateful):
    """What this process knows of an environment that an actor steps: enough to bring another one to where it is.

    Args:
        share: The actor.
        number: Which of its environments it is.

    Attributes:
        began: How its episode began; None before the first.
        actions: What was done since.
    """

    changes = ("began", "actions")

    def __init__(self, share: Replaceable, number: int) -> None:
        self.share = share
        self.number = number
        self.began: Began | None = None
        self.actions: list[int] = []

    def begin(self, began: Began) -> None:
        """Takes note of an episode that begins."""
        self.began, self.actions = began, []

    @property
    def way(self) -> Call:
        """The call that brings an environment to where this one is."""
        return "retrace", (self.number, self.began, self.actions)

    def retrace(self) -> Arrays:
        """Does again what was done in the episode, and returns what is observed then."""
        method, arguments = self.way
        return self.share.call(method, *arguments)


class RayVecEnv(VecEnv):
    """Environments of which each of some actors steps an equal share, all at the same time.

    An actor that is lost is replaced, its environments are brought to where they were, and the step is taken again: the
    rollouts are those of a ``DummyVecEnv`` with the same environments. What ``set_attr`` or ``env_method`` changed in
    them is not brought back.

    Args:
        makes: Make the environments; each a :class:`cotutor.tasks.base.SpokenEnv`.
        actors: How many actors there are, one at least and one for each environment at most.
        address: The cluster (:func:`cotutor.cluster.actors.connect`).
    """

    def __init__(self, makes: Sequence[Make], actors: int, address: str = "auto") -> None:
        connect(address)
        self.places = [place.tolist() for place in np.array_split(np.arange(len(makes)), min(actors, len(makes)))]
        self.shares = [
            Replaceable(Share, ([makes[i] for i in place],), partial(self._ways, place), num_cpus=1)
            for place in self.places
        ]
        self.envs = [
            RemoteEnv(share, number)
            for place, share in zip(self.places, self.shares, strict=True)
            for number in range(len(place))
        ]
        wait_for_all(self.shares)
        super().__init__(len(makes), *self.shares[0].call("spaces"))

    def reset(self) -> Arrays:
        for place, share in zip(self.places, self.shares, strict=True):
            share.begin("reset", self._seeds[place[0]], self._options[place[0] : place[-1] + 1])
        results = [share.result() for share in self.shares]
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = [info for _, infos, _ in results for info in infos]
        for env, began in zip(self.envs, (began for _, _, all_began in results for began in all_began), strict=True):
            env.begin(began)
        return _together([observations for observations, _, _ in results])

    def step_async(self, actions: NDArray[Any]) -> None:
        self.actions = actions
        for place, share in zip(self.places, self.shares, strict=True):
            share.begin("step", actions[place])

    def step_wait(self):
        results = [share.result() for share in self.shares]
        for env, action in zip(self.envs, self.actions, strict=True):
            env.actions.append(int(action))
        for place, (*_, begun) in zip(self.places, results, strict=True):
            for number, (info, began) in begun.items():
                self.reset_infos[place[number]] = info
                self.envs[place[number]].begin(began)
        observations, rewards, dones, infos, _ = zip(*results, strict=True)
        every_info = [info for each in infos for info in each]
        return _together(observations), np.concatenate(rewards), np.concatenate(dones), every_info

    def close(self) -> None:
        for share in self.shares:
            share.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return self._forward("get_attr", indices, attr_name)

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        self._forward("set_attr", indices, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        return self._forward("env_method", indices, method_name, *method_args, **method_kwargs)

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Any = None) -> list[bool]:
        return self._forward("env_is_wrapped", indices, wrapper_class)

    def _forward(self, method: str, indices: Any, *arguments: Any, **named: Any) -> list[Any]:
        results: list[Any] = []
        for i in self._get_indices(indices):
            env = self.envs[i]
            results += env.share.call("forward", method, arguments, {**named, "indices": env.number}) or [None]
        return results

    def _ways(self, place: Sequence[int]) -> list[Call]:
        return [self.envs[i].way for i in place if self.envs[i].began is not None]


def _together(observations: Sequence[Arrays]) -> Arrays:
    """Returns the shares' observations as one, each entry of shape (E, ...)."""
    return {name: np.concatenate([each[name] for each in observations]) for name in observations[0]}
