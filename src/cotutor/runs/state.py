"""What changes while a run goes on, as data: tensors, and JSON for the rest. Nothing is pickled.

The parts of a run are made anew from its configuration. Each says by name what of it changes
(:class:`cotutor.stateful.Stateful`), and only that is captured, and put back into the new part.
"""

import sys
from collections import deque
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecMonitor
from torch import Tensor, nn

from cotutor.stateful import Stateful

Tensors = dict[str, Tensor]

INLINE = 32
"""Arrays of so many numbers at most are written among the JSON: there are tens of thousands of them."""
OTHERS: dict[type, tuple[str, ...]] = {
    OnPolicyAlgorithm: (
        "policy",
        "num_timesteps",
        "_n_updates",
        "_episode_num",
        "_last_obs",
        "_last_episode_starts",
        "ep_info_buffer",
        "ep_success_buffer",
    ),
    ActorCriticPolicy: ("optimizer",),
    VecMonitor: ("episode_returns", "episode_lengths", "episode_count"),
}
"""What changes in the parts that are Stable-Baselines3's."""


def changes(part: Any) -> tuple[str, ...]:
    """Returns the names of what changes in a part of a run."""
    own = part.changes if isinstance(part, Stateful) else ()
    return (*own, *(name for kind, names in OTHERS.items() if isinstance(part, kind) for name in names))


def capture(value: Any, tensors: Tensors) -> Any:
    """Returns a part of a run, or data, as JSON; its larger arrays are added to ``tensors``.

    Raises:
        TypeError: It holds something of a kind that is not known here.
    """
    match value:
        case Stateful() | OnPolicyAlgorithm() | VecMonitor() | nn.Module():
            captured = {"part": {name: capture(getattr(value, name), tensors) for name in changes(value)}}
            weights = own_tensors(value) if isinstance(value, nn.Module) else {}
            return captured | {"weights": _encode(weights, tensors)}
        case torch.optim.Optimizer():
            return {"optimizer": _encode(value.state_dict(), tensors)}
        case np.random.Generator():
            return {"generator": _encode(value.bit_generator.state, tensors)}
    return _encode(value, tensors)


def restore(current: Any, captured: Any, tensors: Tensors) -> Any:
    """Returns what was captured.

    Args:
        current: What is there now. A part or a container is filled with what it held, for others may refer to it.
        captured: What :func:`capture` returned of its like.
        tensors: The tensors that came with it.

    Raises:
        ValueError: It is not what :func:`capture` returns.
    """
    match captured:
        case {"part": attributes, "weights": weights}:
            if not isinstance(attributes, dict) or attributes.keys() != set(changes(current)):
                raise ValueError(f"what changes in a {type(current).__name__} is something else")
            for name, each in attributes.items():
                now = getattr(current, name)
                if (then := restore(now, each, tensors)) is not now:
                    setattr(current, name, then)
            if isinstance(current, nn.Module):
                fill(current, _decode(weights, tensors))
            return current
        case {"optimizer": state} if isinstance(current, torch.optim.Optimizer):
            current.load_state_dict(_decode(state, tensors))
            return current
        case {"generator": state}:
            generator = np.random.default_rng()
            generator.bit_generator.state = _decode(state, tensors)
            return generator
    return _refilled(current, _decode(captured, tensors))


def own_tensors(module: nn.Module) -> Tensors:
    """Returns a module's parameters and buffers by name, those that share storage once."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: tensor.detach() for name, tensor in tensors.items()}


def fill(module: nn.Module, tensors: Tensors) -> None:
    """Puts into a module what :func:`own_tensors` returned of one of the same shape."""
    for name, tensor in own_tensors(module).items():
        tensor.copy_(tensors[name])


def _refilled(current: Any, value: Any) -> Any:
    if isinstance(current, dict) and isinstance(value, dict):
        current.clear()
        current.update(value)
        return current
    if isinstance(current, list | deque) and type(current) is type(value):
        current.clear()
        current.extend(value)
        return current
    return value


def _encode(value: Any, tensors: Tensors) -> Any:
    def inner(value: Any) -> Any:
        return _encode(value, tensors)

    encoded: Any
    match value:
        case np.generic():
            encoded = {"scalar": value.item(), "of": value.dtype.name}
        case None | bool() | int() | float() | str():
            encoded = value
        case np.ndarray() if 0 < value.size <= INLINE:
            encoded = {"numbers": value.tolist(), "of": value.dtype.name}
        case np.ndarray():
            encoded = {"array": _put(torch.from_numpy(np.ascontiguousarray(value)), tensors)}
        case Tensor():
            encoded = {"tensor": _put(value, tensors)}
        case list():
            encoded = [inner(each) for each in value]
        case set():
            encoded = {"set": [inner(each) for each in sorted(value)]}
        case tuple() | deque():
            encoded = {type(value).__name__: [inner(each) for each in value]}
        case dict():
            encoded = {"dict": [[inner(key), inner(each)] for key, each in value.items()]}
        case _ if is_dataclass(value):
            kind = f"{type(value).__module__}:{type(value).__qualname__}"
            encoded = {"data": kind, "fields": [inner(getattr(value, field.name)) for field in fields(value)]}
        case _:
            raise TypeError(f"A checkpoint cannot keep a {type(value).__name__}.")
    return encoded


def _put(tensor: Tensor, tensors: Tensors) -> str:
    name = str(len(tensors))
    tensors[name] = tensor.detach().cpu().contiguous().clone()
    return name


def _decode(encoded: Any, tensors: Tensors) -> Any:
    def inner(encoded: Any) -> Any:
        return _decode(encoded, tensors)

    match encoded:
        case {"scalar": number, "of": kind}:
            value = np.dtype(kind).type(number)
        case {"numbers": numbers, "of": kind}:
            value = np.array(numbers, dtype=kind)
        case {"array": name}:
            value = tensors[name].numpy().copy()
        case {"tensor": name}:
            value = tensors[name]
        case {"tuple": values}:
            value = tuple(map(inner, values))
        case {"set": values}:
            value = set(map(inner, values))
        case {"deque": values}:
            value = deque(map(inner, values))
        case {"dict": pairs}:
            value = {inner(key): inner(each) for key, each in pairs}
        case {"data": kind, "fields": values}:
            value = _dataclass(kind)(*map(inner, values))
        case list() as values:
            value = [inner(each) for each in values]
        case dict():
            raise ValueError(f"a checkpoint holds something unknown: {', '.join(encoded)}")
        case _:
            value = encoded
    return value


def _dataclass(name: str) -> Callable[..., Any]:
    """Returns one of this package's dataclasses; nothing else can be made of what a file says."""
    module, _, kind = name.partition(":")
    found = getattr(sys.modules.get(module), kind, None) if module.startswith("cotutor.") else None
    if not (isinstance(found, type) and is_dataclass(found)):
        raise ValueError(f"a checkpoint holds a {name}, which is no data")
    return found
