"""BALROG's five tasks of BabyAI (Paglieri et al. 2024, arXiv 2411.13543), made from minigrid's level generator.

BALROG takes them from ``MixedTrainLocal`` of Carta et al. 2023 (arXiv 2302.02662), which minigrid does not have: one
room of 8 x 8 cells, or two with a locked door between them; missions to go to, pick up or open something, to put one
thing next to another, and to pick up one thing and then go to another. Some colours and types never come together in a
mission (``UNSEEN``), so that missions can be told which nobody was trained on: ``balrog:PutNextUnseen`` and so on.

What differs: there the kind of mission is drawn when the environment is made, and BALROG makes environments until it
has the kind that it wants; here every kind is a level of its own. There things are drawn until the mission is allowed,
here what the mission names is drawn among what is allowed, which comes to the same. As in BALROG's settings, nothing
lies about that the mission does not name; with eight more things, as in the source: ``balrog:PutNextDist`` and so on.
"""

from itertools import product

import gymnasium as gym
from minigrid.core.constants import COLOR_NAMES
from minigrid.envs.babyai.core.levelgen import LevelGen
from minigrid.envs.babyai.core.verifier import (
    AfterInstr,
    BeforeInstr,
    GoToInstr,
    ObjDesc,
    OpenInstr,
    PickupInstr,
    PutNextInstr,
)

from cotutor.tasks.seen import PORTABLE

KINDS = ("GoTo", "PickUp", "Open", "PutNext", "PickUpThenGoTo")
UNSEEN = (("box", "yellow"), ("key", "red"), ("ball", "green"))
UNSEEN_DOORS = ("red", "grey")
THINGS = tuple(product(PORTABLE, COLOR_NAMES))
DISTRACTORS = 8


class BalrogLevel(LevelGen):
    """A level with missions of one kind.

    Args:
        kind: One of ``KINDS``.
        unseen: Whether missions name only what those of training never name.
        distractors: How many things lie about that the mission does not name.
        options: What minigrid gives to every level.
    """

    def __init__(self, kind: str, unseen: bool = False, distractors: int = 0, **options) -> None:
        self.kind = kind
        self.things = [thing for thing in THINGS if (thing in UNSEEN) == unseen]
        self.door_colours = [colour for colour in COLOR_NAMES if (colour in UNSEEN_DOORS) == unseen]
        super().__init__(num_rows=1, num_cols=1 + (kind == "Open"), num_dists=distractors, unblocking=False, **options)

    def gen_mission(self) -> None:
        if self.kind == "Open":
            self._lock_a_door()
            return
        self.place_agent()
        first, second = self._named(), self._named() if self.kind in KINDS[3:] else None
        self.add_distractors(num_distractors=self.num_dists, all_unique=False)
        self.check_objs_reachable()
        if second is None:
            self.instrs = GoToInstr(first) if self.kind == "GoTo" else PickupInstr(first)
        elif self.kind == "PutNext":
            self.instrs = PutNextInstr(first, second)
        elif self._rand_bool():
            self.instrs = BeforeInstr(PickupInstr(first), GoToInstr(second))
        else:
            self.instrs = AfterInstr(GoToInstr(second), PickupInstr(first))

    def _named(self) -> ObjDesc:
        """Adds a thing that the mission names, and returns its description."""
        kind, colour = self._rand_elem(self.things)
        self.add_object(0, 0, kind, colour)
        return ObjDesc(kind, colour)

    def _lock_a_door(self) -> None:
        colour, locked = self._rand_elem(self.door_colours), self._rand_int(0, 2)
        self.add_door(locked, 0, door_idx=2 * locked, color=colour, locked=True)
        here = 1 - locked
        self.add_object(here, 0, "key", colour)
        self.add_distractors(here, 0, num_distractors=self.num_dists, all_unique=False)
        self.place_agent(here, 0)
        self.check_objs_reachable()
        self.instrs = OpenInstr(ObjDesc("door", self._rand_elem([None, colour])))


def register() -> None:
    """Registers the levels with gymnasium."""
    for kind in KINDS:
        for suffix, options in (("", {}), ("Unseen", {"unseen": True}), ("Dist", {"distractors": DISTRACTORS})):
            gym.register(f"BALROG-{kind}{suffix}-v0", f"{__name__}:BalrogLevel", kwargs={"kind": kind, **options})


register()
