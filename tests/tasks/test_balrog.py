"""BALROG's levels: the bot solves them, and their missions name what they may."""

import re

import pytest

from cotutor.errors import UserError
from cotutor.tasks import make_task
from cotutor.tasks.babyai import BabyAI
from cotutor.tasks.balrog import KINDS
from cotutor.tasks.base import SpokenEnv

NEVER_IN_TRAINING = re.compile(r"yellow box|red key|green ball|(red|grey) door")
SHAPES = {
    "GoTo": r"go to (a|the) \w+ \w+",
    "PickUp": r"pick up (a|the) \w+ \w+",
    "Open": r"open the (\w+ )?door",
    "PutNext": r"put (a|the) \w+ \w+ next to (a|the) \w+ \w+",
    "PickUpThenGoTo": r"pick up .+, then go to .+|go to .+ after you pick up .+",
}


@pytest.mark.parametrize("suffix", ["", "Unseen", "Dist"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_bot_solves_every_level_and_missions_are_of_its_kind(kind: str, suffix: str):
    env = SpokenEnv(make_task(f"balrog:{kind}{suffix}"), "text")
    for seed in range(12):
        env.reset(seed=seed)
        mission, reward, over = env.unwrapped.mission, 0.0, False
        assert re.fullmatch(SHAPES[kind], mission)
        if mission != "open the door":
            assert (NEVER_IN_TRAINING.search(mission) is not None) == (suffix == "Unseen")
        while not over:
            _, reward, terminated, truncated, _ = env.step(env.expert_action())
            over = terminated or truncated
        assert reward > 0


@pytest.mark.parametrize(("name", "things"), [("GoTo", 1), ("PutNext", 2), ("PutNextDist", 10), ("OpenDist", 9)])
def test_so_many_things_lie_about(name: str, things: int):
    env = make_task(f"balrog:{name}").make_env()
    for seed in range(5):
        env.reset(seed=seed)
        cells = [cell for cell in env.unwrapped.grid.grid if cell is not None and cell.type not in ("wall", "door")]
        assert len(cells) == things


def test_the_levels_are_found_by_name_and_nearly_so():
    assert BabyAI("balrog:PutNext").has_expert
    with pytest.raises(UserError, match="did you mean balrog:PutNext"):
        make_task("balrog:PutNxt")
