"""Actors that are replaced when they are lost, and the cluster that they live in."""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cotutor.errors import UserError
from cotutor.own import from_files

LIVES = 4
"""How often a call is begun at most: what kills its actor each time would kill the next one, too."""
START_SECONDS = 300.0
"""How long a cluster is waited for that has no room for an actor."""
Call = tuple[str, tuple[Any, ...]]
"""The name of a method, and what it is called with."""


def connect(address: str) -> None:
    """Joins a Ray cluster, if that was not done yet.

    Args:
        address: ``auto`` for the one that this machine belongs to, ``HOST:PORT`` for one of several that it belongs
            to, or ``local`` for one that is started here and ends with this process.

    Raises:
        UserError: Ray is not installed, or there is no such cluster.
    """
    # what is begun here tells nobody else about itself
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # it takes half a second to import, and is an extra
    try:
        import ray  # noqa: PLC0415
        from ray import cloudpickle  # noqa: PLC0415
    except ImportError as error:
        raise UserError("Ray is not installed: pip install 'cotutor[ray]'.") from error
    if not ray.is_initialized():
        try:
            ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(
                f"Ray cluster {address!r} cannot be joined ({error}): begin one with ray start --head, or say local."
            ) from error
    for module in from_files():
        cloudpickle.register_pickle_by_value(module)


def go_to(folder: Path) -> None:
    """Makes a folder the working folder, if this machine has it: names of a user's own files are relative to it."""
    if folder.is_dir():
        os.chdir(folder)


class Replaceable:
    """An actor that a new one replaces when it is lost, or the machine that it is on.

    Args:
        kind: Its class, whose method ``make`` makes what it holds, with the working folder of this process.
        arguments: What the class is called with.
        put_where_it_was: Returns the calls that bring a new actor, once made, to where the lost one was.
        resources: What it needs, as Ray calls it.

    Attributes:
        replaced: How often that happened.
    """

    def __init__(
        self,
        kind: type,
        arguments: tuple[Any, ...],
        put_where_it_was: Callable[[], Sequence[Call]],
        **resources: float,
    ) -> None:
        import ray  # noqa: PLC0415
        from ray import exceptions  # noqa: PLC0415

        self.ray = ray
        self.exceptions = exceptions
        self.kind = ray.remote(kind).options(scheduling_strategy="SPREAD", **resources)
        self.arguments = arguments
        self.put_where_it_was = put_where_it_was
        self.resources = resources
        self.replaced = 0
        self.making: Call = "make", (Path.cwd(),)
        self.begun: list[Call] = []
        self._start()

    def begin(self, method: str, *arguments: Any) -> None:
        """Begins a call, whose :meth:`result` must be taken before the next."""
        self.begun = [(method, arguments)]
        self.pending = self._do(self.begun)

    def result(self) -> Any:
        """Waits for the call that was begun, and returns what came of it, or raises what it raised.

        Raises:
            UserError: Every actor that tried was lost, or there is no room for another.
        """
        lives = LIVES
        while True:
            try:
                return self.ray.get(self.pending)[-1]
            except self.exceptions.RayTaskError as error:
                raise error.cause from error
            except self.exceptions.RayError as error:
                lives -= 1
                if not lives:
                    raise UserError(f"An actor on the cluster was lost {LIVES} times in one call: {error}") from error
                self._replace()

    def call(self, method: str, *arguments: Any) -> Any:
        """Calls a method and waits for what comes of it."""
        self.begin(method, *arguments)
        return self.result()

    def close(self) -> None:
        """Ends the actor."""
        self.ray.kill(self.actor)

    def wait_for_room(self) -> None:
        """Waits until the actor is somewhere.

        Raises:
            UserError: It takes too long.
        """
        ready, _ = self.ray.wait([self.actor.__ray_ready__.remote()], timeout=START_SECONDS)
        if not ready:
            self.close()
            needs = " and ".join(f"{name}={count:g}" for name, count in self.resources.items())
            raise UserError(
                f"The cluster has had no room for an actor ({needs}) for {START_SECONDS:.0f} s: ask for fewer, or add "
                "machines."
            )

    def _replace(self) -> None:
        self.close()
        self.replaced += 1
        self._start(*self.put_where_it_was(), *self.begun)
        self.wait_for_room()

    def _start(self, *calls: Call) -> None:
        """Makes an actor and what it holds, and begins calls."""
        self.actor: Any = self.kind.remote(*self.arguments)
        self.pending = self._do([self.making, *calls])

    def _do(self, calls: Sequence[Call]) -> list[Any]:
        """Begins calls, which an actor does in turn."""
        return [getattr(self.actor, method).remote(*arguments) for method, arguments in calls]


def wait_for_all(actors: Sequence[Replaceable]) -> None:
    """Waits until all actors are somewhere and have made what they hold.

    Raises:
        UserError: There is no room for one of them; or whatever was raised when it was made.
    """
    for actor in actors:
        actor.wait_for_room()
    for actor in actors:
        actor.result()
