"""The expert of BabyAI levels: minigrid's bot, made to start anywhere in an episode."""

import copy
import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from typing import Any

import gymnasium as gym
import numpy as np
from minigrid.core.actions import Actions
from minigrid.core.world_object import Door, Key, Wall
from minigrid.envs.babyai.core.verifier import ActionInstr, AfterInstr, Instr, PickupInstr, PutNextInstr
from minigrid.minigrid_env import MiniGridEnv
from minigrid.utils.baby_ai_bot import BabyAIBot, DisappearedBoxError, DropSubgoal, GoNextToSubgoal

Level = Any
"""A BabyAI level: a ``RoomGridLevel``, whose attributes minigrid does not declare."""

BOT_ERRORS = (AssertionError, AttributeError, DisappearedBoxError, IndexError, TypeError)
"""What the bot raises where it does not know a way."""

DEEPEST_PLAN = 200
"""Subgoals of a plan beyond which the bot, which may loop for ever, is held to know no way."""

Accept = Callable[[Any, Any], bool]

TOGGLE, DONE = int(Actions.toggle), int(Actions.done)


class Expert(BabyAIBot):
    """The bot, with two differences: it may start anywhere in an episode, and it sees all that walls and closed doors
    do not cut off, not only what was in view."""

    def __init__(self, level: Level) -> None:
        super().__init__(level)
        first, carried = remaining(level.instrs)[0], level.carrying
        if carried is None or not isinstance(first, (PickupInstr, PutNextInstr)):
            return
        target = first.desc_move if isinstance(first, PutNextInstr) else first.desc
        if isinstance(first, PutNextInstr) and any(carried is thing for thing in target.obj_set):
            self.stack = self.stack[:-2]
        elif any(self.vis_mask[place] for place in target.obj_poss):
            self.stack += [DropSubgoal(self), GoNextToSubgoal(self, self._find_drop_pos())]

    def action(self) -> int:
        """Returns the next action, on the assumption that the one before was taken."""
        action = self.replan()
        assert action is not None, "the bot has something left to do"
        return int(action)

    def _shortest_path(self, accept_fn: Accept, try_with_blockers: bool = False) -> tuple[Any, Any, bool]:
        assert len(self.stack) < DEEPEST_PLAN, "the bot plans in circles"
        if accept_fn.__name__ == "unopened_door":  # the bot explores: a locked door without a key leads nowhere
            keys = {cell.color for cell, seen in self._cells() if seen and isinstance(cell, Key)}
            carried = self.mission.carrying
            keys |= {carried.color} if isinstance(carried, Key) else set()
            return super()._shortest_path(
                lambda pos, cell: accept_fn(pos, cell) and (not cell.is_locked or cell.color in keys), try_with_blockers
            )
        return super()._shortest_path(accept_fn, try_with_blockers)

    def _cells(self) -> Iterator[tuple[Any, bool]]:
        return zip(self.mission.grid.grid, self.vis_mask.T.flat, strict=True)

    def _process_instr(self, instr: Instr) -> None:
        self._process_obs()
        for part in reversed(remaining(instr)):
            super()._process_instr(part)

    def _process_obs(self) -> None:
        level = self.mission
        grid, width, height = level.grid.grid, level.width, level.height
        seen = np.zeros(width * height, dtype=bool)
        start = int(level.agent_pos[1]) * width + int(level.agent_pos[0])
        seen[start], edge = True, [start]
        while edge:
            place = edge.pop()
            cell = grid[place]
            if place != start and (isinstance(cell, Wall) or (isinstance(cell, Door) and not cell.is_open)):
                continue
            for near in (place - 1, place + 1, place - width, place + width):
                if 0 <= near < seen.size and not seen[near]:
                    seen[near] = True
                    edge.append(near)
        self.vis_mask = seen.reshape(height, width).T


def remaining(instr: Instr) -> list[ActionInstr]:
    """Returns what is left to do of an instruction, in the order of doing."""
    if isinstance(instr, ActionInstr):
        return [instr]
    parts: list[tuple[Any, Any]] = [(instr.a_done, instr.instr_a), (instr.b_done, instr.instr_b)]  # pyright: ignore
    if isinstance(instr, AfterInstr):
        parts.reverse()
    return [action for done, part in parts if done != "success" for action in remaining(part)]


class GuidedEnv(gym.Wrapper[Any, Any, Any, Any]):
    """A level that can be asked for the bot's next action; it also keeps minigrid from printing what it rejects.

    The bot keeps its plan as long as it is followed. It plans afresh after any other action, and when a door was
    opened, since what it carries may be in the way of what it then sees.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.bot: Expert | None = None
        self.suggestion: int | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        self.bot = self.suggestion = None
        with redirect_stdout(io.StringIO()):
            return self.env.reset(seed=seed, options=options)

    def step(self, action: Any):
        if action != self.suggestion or action == TOGGLE:
            self.bot = None
        self.suggestion = None
        return self.env.step(action)

    def bot_action(self) -> int:
        """Returns what the bot does next, or ``done`` where it knows no way."""
        if self.suggestion is None:
            try:
                self.suggestion = self._plan(self.bot)
            except BOT_ERRORS:
                try:
                    self.suggestion = self._plan(None)
                except BOT_ERRORS:
                    self.bot, self.suggestion = None, DONE
        return self.suggestion

    def _plan(self, bot: "Expert | None") -> int:
        self.bot = bot or Expert(self.unwrapped)
        return self.bot.action()


def right_actions(level: MiniGridEnv, actions: tuple[int, ...]) -> frozenset[int]:
    """Returns those of ``actions`` after which the bot needs the fewest steps to success."""
    limit, lengths = level.steps_remaining, {}
    for action in actions:
        length = _steps_to_success(_copy(level), action, limit)
        if length is not None:
            limit = lengths[action] = length
    return frozenset(action for action, length in lengths.items() if length == limit)


def _steps_to_success(level: Level, action: int, limit: int) -> int | None:
    """Returns the steps to success when ``action`` comes first, or None if there is no success within ``limit``."""
    env = GuidedEnv(level)
    env.bot_action()
    for length in range(1, limit + 1):
        _, reward, terminated, _, _ = env.step(action)
        if terminated:
            return length if float(reward) > 0 else None
        action = env.bot_action()
        if action == DONE:
            return None
    return None


def _copy(level: Level) -> Level:
    """Returns a copy that can be acted in without a trace in the original, and that draws no observations."""
    twin = copy.copy(level)
    memo: dict[int, Any] = {id(cell): cell for cell in level.grid.grid if isinstance(cell, Wall)}
    memo[id(level)] = twin
    for part in ("grid", "carrying", "instrs"):
        setattr(twin, part, copy.deepcopy(getattr(level, part), memo))
    twin.gen_obs = dict
    return twin
