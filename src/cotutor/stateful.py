"""What a part of a run must say so that the run can be taken up again where it stopped."""

from typing import ClassVar


class Stateful:
    """A part of a run that changes while it goes on; what it was made with, its configuration tells.

    Attributes:
        changes: Names of the attributes that change: data, or parts that say for themselves what changes
            (:mod:`cotutor.runs.state`).
    """

    changes: ClassVar[tuple[str, ...]] = ()
