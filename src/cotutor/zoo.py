"""Hyper-parameters of PPO in the YAML form of RL Baselines3 Zoo: entries by environment, with PPO's own names."""

from pathlib import Path
from typing import Any

from cotutor.errors import UserError
from cotutor.reading import read_yaml

OURS = {
    "n_envs": "envs",
    "n_steps": "steps",
    "batch_size": "batch_size",
    "n_epochs": "epochs",
    "learning_rate": "learning_rate",
    "gamma": "gamma",
    "gae_lambda": "gae_lambda",
    "clip_range": "clip_range",
    "ent_coef": "entropy",
}
WHOLE = ("n_envs", "n_steps", "batch_size", "n_epochs", "n_timesteps")
FALLING = "lin_"


def read_zoo(where: str) -> tuple[dict[str, Any], list[str]]:
    """Reads an entry of such a file.

    ``n_timesteps`` become the frames of the run. What describes the network or wrappers of the environment is left out,
    for the student brings its own, and what else of PPO cannot be set here; so is the fall of a number that falls
    linearly: it stays what it is at the start.

    Args:
        where: ``FILE``, if it has one entry, or ``FILE:ENTRY``.

    Returns:
        Settings as :func:`cotutor.config.from_values` takes them, and the names of what is left out.

    Raises:
        UserError: The file cannot be read, has no such entry, or a value is no number.
    """
    path, entry = _which(where)
    taken, left_out = {}, []
    for name, value in entry.items():
        if name not in OURS and name != "n_timesteps":
            left_out.append(str(name))
            continue
        if isinstance(value, str) and value.startswith(FALLING):
            left_out.append(f"the fall of {name}")
            value = value.removeprefix(FALLING)
        taken[name] = _number(path, name, value)
    ppo = {ours: taken[name] for name, ours in OURS.items() if name in taken}
    frames = {"frames": taken["n_timesteps"]} if "n_timesteps" in taken else {}
    return {**frames, "ppo": ppo}, left_out


def _which(where: str) -> tuple[Path, dict[str, Any]]:
    name, colon, wanted = where.rpartition(":")
    if not colon or Path(where).exists():
        name, wanted = where, ""
    path = Path(name)
    entries = read_yaml("hyper-parameters", path)
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise UserError(f"The hyper-parameters {path} must be a mapping of environments to PPO's parameters.")
    if not wanted and len(entries) == 1:
        (wanted,) = entries
    if wanted not in entries:
        raise UserError(f"Say which entry of {path}, as in --zoo {path}:ENTRY: {', '.join(map(str, entries))}.")
    return path, entries[wanted]


def _number(path: Path, name: str, value: Any) -> float | int:
    # YAML takes 1e5 for a word
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"In {path} {name} is {value!r}, which is no number.") from error
    if name not in WHOLE:
        return number
    if not number.is_integer():
        raise UserError(f"In {path} {name} is {value!r}, which is no whole number.")
    return int(number)
