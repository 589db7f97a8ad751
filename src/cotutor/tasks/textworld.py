"""Games of TextWorld (Côté et al. 2018) as tasks: rooms, things and commands, all in words.

A task is a game or a folder of games, of which each episode plays one. An action is a command that some game knows;
what can be done at the moment is told, and nothing else is offered, as is usual with these games ("admissible
commands").
"""

import importlib
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from cotutor.errors import UserError
from cotutor.tasks.base import OFFERED, Observation, Task
from cotutor.types import Option

PREFIX = "textworld:"
KIND = "*.z8"
LONGEST = 50
"""Steps after which an episode is cut, as is usual for small games."""
TOLD_ANYWAY = frozenset({"look", "inventory"})
"""Commands whose answer is in every observation."""
CAN = " You can: "
"""What in a context precedes the commands that are offered."""
CHARACTERS = frozenset(map(chr, range(32, 127)))
MOST_CHARACTERS = 10_000


class TextGame(gym.Env[dict[str, Any], int]):
    """Plays one of several games, drawn anew in each episode.

    Observes the objective, the room, what is carried, what was examined last, and which commands are offered. The
    reward is the share of the game's points that a command earned.

    Args:
        games: The files.
        commands: The name of every action.
    """

    def __init__(self, games: Sequence[Path], commands: Sequence[str]) -> None:
        self.games = games
        self.commands = commands
        text = gym.spaces.Text(MOST_CHARACTERS, min_length=0, charset=CHARACTERS)
        self.observation_space = gym.spaces.Dict(
            {
                **dict.fromkeys(("objective", "room", "carried", "read"), text),
                OFFERED: gym.spaces.MultiBinary(len(commands)),
            }
        )
        self.action_space: gym.Space[Any] = gym.spaces.Discrete(len(commands))
        self.playing: tuple[Path, Any] | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        game = self.games[int(self.np_random.integers(len(self.games)))]
        if self.playing is None or self.playing[0] != game:
            self.close()
            self.playing = game, start(game)
        self.state = self.playing[1].reset()
        self.read, self.score = "", 0
        return self._observe(), {}

    def step(self, action: int):
        assert self.playing is not None
        command = self.commands[action]
        self.state, score, over = self.playing[1].step(command)
        if command.startswith("examine "):
            self.read = tidy(self.state.feedback)
        reward, self.score = (score - self.score) / max(1, self.state.max_score), score
        return self._observe(), reward, over, False, {}

    def close(self) -> None:
        if self.playing is not None:
            self.playing[1].close()
            self.playing = None

    def __str__(self) -> str:
        return tidy(self.state.feedback)

    def _observe(self) -> dict[str, Any]:
        possible = set(self.state.admissible_commands)
        return {
            "objective": tidy(self.state.objective),
            "room": tidy(self.state.description),
            "carried": tidy(self.state.inventory),
            "read": self.read,
            OFFERED: np.array([command in possible for command in self.commands], dtype=np.int8),
        }


class TextWorld(Task):
    """A game of TextWorld, or several.

    The expert is TextWorld's own walkthrough from wherever the player is. It knows one shortest way, and another one
    counts as wrong.

    Args:
        name: ``textworld:FILE`` or ``textworld:FOLDER``; beside each game lies the JSON file that ``tw-make`` wrote.

    Raises:
        UserError: TextWorld is not installed, or there is no game that can be played.
    """

    has_expert = True
    max_words = 512

    def __init__(self, name: str) -> None:
        self.name = name
        self.games = find_games(Path(name.removeprefix(PREFIX)))
        self.actions = commands(self.games)
        self.numbers = {command: action for action, command in enumerate(self.actions)}

    def make_env(self) -> gym.Env[Any, Any]:
        return gym.wrappers.TimeLimit(TextGame(self.games, self.actions), LONGEST)

    def describe(self, observation: Observation) -> str:
        parts = [f"Mission: {observation['objective']}", observation["room"], observation["carried"]]
        parts += [f"You read: {observation['read']}"] if observation["read"] else []
        offered = ", ".join(self.actions[action] for action in np.flatnonzero(observation[OFFERED]))
        return " ".join(parts) + f"{CAN}{offered}."

    def options(self, context: str) -> tuple[Option, ...]:
        offered = context.rpartition(CAN)[2].removesuffix(".")
        # of a context that was cut the first may be half a command
        return tuple(
            Option(command, self.numbers[command]) for command in offered.split(", ") if command in self.numbers
        )

    def instruction(self, observation: Observation) -> str:
        return observation["objective"]

    def arrays(self, observation: Observation) -> dict[str, NDArray[Any]]:
        return {OFFERED: observation[OFFERED].astype(np.float32)}

    def array_spaces(self) -> dict[str, gym.Space[Any]]:
        return {OFFERED: gym.spaces.Box(0.0, 1.0, (len(self.actions),), dtype=np.float32)}

    def expert_action(self, env: gym.Env[Any, Any]) -> int:
        # a game that cannot be won any more has no walkthrough, and whatever is possible will do
        state = env.get_wrapper_attr("state")
        ways = self._first(state.policy_commands), self._first(state.admissible_commands)
        return next((way for way in ways if way is not None), 0)

    def right_actions(self, env: gym.Env[Any, Any], actions: tuple[int, ...]) -> frozenset[int]:
        right = self._first(env.get_wrapper_attr("state").policy_commands)
        return frozenset({right} & set(actions)) if right is not None else frozenset()

    def _first(self, commands: Sequence[str]) -> int | None:
        return next((self.numbers[command] for command in commands if command in self.numbers), None)


def find_games(where: Path) -> list[Path]:
    """Returns the game that is at ``where``, or the games in the folder that it is.

    Raises:
        UserError: There is none, or one without the file that describes it.
    """
    games = sorted(where.glob(KIND)) if where.is_dir() else [where]
    if not games or not games[0].is_file():
        raise UserError(f"There is no game at {where}: make one with tw-make, such as {where / 'game.z8'}.")
    if untold := [game for game in games if not game.with_suffix(".json").is_file()]:
        raise UserError(f"Beside {untold[0]} there is no {untold[0].with_suffix('.json').name}, which tw-make writes.")
    return games


def commands(games: Sequence[Path]) -> tuple[str, ...]:
    """Returns every command that can ever be of use in one of the games, in alphabetical order."""
    known: set[str] = set()
    for game in games:
        env = start(game)
        known.update(env.reset().possible_admissible_commands)
        env.close()
    return tuple(sorted(known - TOLD_ANYWAY))


def start(game: Path) -> Any:
    """Returns TextWorld's own environment of a game.

    Raises:
        UserError: TextWorld is not installed, or cannot play it.
    """
    try:
        textworld: Any = importlib.import_module("textworld")
    except ImportError as error:
        raise UserError("Games of TextWorld need TextWorld: pip install 'cotutor[textworld]'.") from error
    told = textworld.EnvInfos(
        objective=True,
        description=True,
        inventory=True,
        feedback=True,
        max_score=True,
        admissible_commands=True,
        possible_admissible_commands=True,
        policy_commands=True,
    )
    try:
        with warnings.catch_warnings():
            # its interpreter says of every game of TextWorld that it is none of those which it knows
            warnings.simplefilter("ignore")
            return textworld.start(str(game), told)
    except Exception as error:
        raise UserError(f"TextWorld cannot play {game}: {error}.") from error


def tidy(text: str) -> str:
    """Returns what a game said in one line of plain characters: headings without their rules, and no prompt."""
    said = re.sub(r"-= (.*?) =-", r"\1.", text.partition("\n>")[0])
    return " ".join(said.encode("ascii", "replace").decode().split())
