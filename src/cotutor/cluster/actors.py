"""Actors that are replaced when they are lost, and the cluster that they live in."""

import logging
import os
from collections.abc import Callable, Sequence
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
        address: ``auto`` for the one that this machine belongs to, ``local`` for one that is started here and ends
            with this process, or ``HOST:PORT``.

    Raises:
        UserError: Ray is not installed, or there is no such cluster.
    """
    # no run tells anyone else about itself
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
                f"There is no Ray cluster at {address!r}: begin one with ray start --head, or say local."
            ) from error
    for module in from_files():
        cloudpickle.register_pickle_by_value(module)


class Replaceable:
    """An actor that a new one replaces when it is lost, or the machine that it is on.

    Args:
        kind: Its class.
        arguments: What it is made with.
        put_where_it_was: Returns the calls that bring a new actor to where the lost one was.
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

        self.ray = ray
        self.kind = ray.remote(kind).options(scheduling_strategy="SPREAD", **resources)
        self.arguments = arguments
        self.put_where_it_was = put_where_it_was
        self.replaced = 0
        self.actor: Any = self.kind.remote(*arguments)

    def wait_for_room(self) -> None:
        """Waits until the actor is somewhere.

        Raises:
            UserError: It takes too long.
        """
        ready, _ = self.ray.wait([self.actor.__ray_ready__.remote()], timeout=START_SECONDS)
        if not ready:
            free = self.ray.cluster_resources().get("CPU", 0)
            raise UserError(
                f"The cluster, with {free:.0f} CPUs, has had no room for an actor in {START_SECONDS:.0f} s."
            )

    def begin(self, method: str, *arguments: Any) -> None:
        """Begins a call, whose :meth:`result` must be taken before the next."""
        self.begun = method, arguments
        self.pending = self._do([self.begun])

    def result(self) -> Any:
        """Waits for the call that was begun, and returns what came of it, or raises what it raised.

        Raises:
            UserError: Every actor that tried was lost.
        """
        from ray import exceptions  # noqa: PLC0415

        lives = LIVES
        while True:
            try:
                return self.ray.get(self.pending)[-1]
            except exceptions.RayTaskError as error:
                raise error.cause from error
            except (exceptions.RayActorError, exceptions.ObjectLostError) as error:
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

    def _replace(self) -> None:
        self.close()
        self.replaced += 1
        self.actor = self.kind.remote(*self.arguments)
        self.pending = self._do([*self.put_where_it_was(), self.begun])

    def _do(self, calls: Sequence[Call]) -> list[Any]:
        """Begins calls, which an actor does in turn."""
        return [getattr(self.actor, method).remote(*arguments) for method, arguments in calls]
