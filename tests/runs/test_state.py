"""What is captured of a run is what is put back, and a file cannot make anything else."""

import json
from collections import deque

import numpy as np
import pytest
import torch
from torch import nn

from cotutor.errors import UserError
from cotutor.memory import FeedbackMemory
from cotutor.reading import reading
from cotutor.runs.state import capture, restore
from cotutor.stateful import Stateful
from cotutor.trust import Evidence
from cotutor.types import Option, Question


def there_and_back(value, current=None):
    tensors = {}
    captured = json.loads(json.dumps(capture(value, tensors)))
    return restore(current, captured, tensors)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        2**127 + 1,
        0.1,
        float("inf"),
        "a \x1b[31m \U0001f600 \u202e text",
        [1, [2, (3, {"a", "b"})], deque([4.5])],
        {("a", 1): {2: [None]}, True: "dict"},
        {"tensor": "like", "array": "what is written", "dict": []},
        Question("a context", (Option("go", 2), Option("stay", 0))),
        Evidence(1.0, -2.5, 1e-300),
    ],
)
def test_data_comes_back_equal(value):
    assert there_and_back(value) == value


@pytest.mark.parametrize(
    "value",
    [
        np.float64(0.1),
        np.float32(0.1),
        np.int64(-3),
        np.bool_(True),
        np.array([0.1, np.nan, -np.inf]),
        np.arange(1000, dtype=np.int16).reshape(10, 20, 5)[:, ::2],
        np.zeros((0, 3), dtype=np.float32),
        np.array(7, dtype=np.uint8),
        np.random.default_rng(0).random(100) > 0.5,
    ],
)
def test_arrays_come_back_in_shape_kind_and_every_bit(value):
    back = there_and_back(value)
    assert type(back) is type(value) and back.dtype == value.dtype and back.shape == value.shape
    assert back.tobytes() == np.ascontiguousarray(value).tobytes()


def test_a_generator_goes_on_where_it_was():
    random = np.random.default_rng(5)
    random.random(7)
    back = there_and_back(random)
    assert back.random(20).tolist() == random.random(20).tolist()


def test_a_network_and_its_optimizer_take_the_next_step_alike():
    def made():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        return network, torch.optim.Adam(network.parameters(), lr=0.1)

    def step(network, optimizer, seed):
        optimizer.zero_grad()
        network(torch.randn(8, 3, generator=torch.Generator().manual_seed(seed))).square().sum().backward()
        optimizer.step()

    first, second = made(), made()
    for seed in range(3):
        step(*first, seed)
    for trained, fresh in zip(first, second, strict=True):
        assert there_and_back(trained, fresh) is fresh
    step(*first, 9)
    step(*second, 9)
    for one, other in zip(first[0].state_dict().values(), second[0].state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_a_part_is_filled_and_stays_the_object_that_others_know():
    memory, fresh = FeedbackMemory(3, 0.9, 1.0), FeedbackMemory(3, 0.9, 1.0)
    memory.record(["here", "there"] * 200, np.arange(400) % 3, np.linspace(-1, 1, 400))
    rows = fresh.sums.rows
    assert there_and_back(memory, fresh) is fresh
    assert fresh.sums.rows is rows and rows == {"here": 0, "there": 1}
    assert np.array_equal(fresh.sums.table, memory.sums.table)


def test_a_queue_keeps_its_length():
    recent = deque(maxlen=3)
    there_and_back(deque([1, 2, 3], maxlen=3), recent)
    recent.append(4)
    assert list(recent) == [2, 3, 4]


class Odd(Stateful):
    changes = ("what",)
    what = object()


def test_what_cannot_be_kept_is_said_at_once():
    with pytest.raises(TypeError, match="cannot keep a object"):
        capture(Odd(), {})


@pytest.mark.parametrize(
    "name", ["os:system", "cotutor.errors:UserError", "cotutor.train:train", f"{__name__}:Foreign"]
)
def test_a_file_can_only_make_this_packages_data(name):
    with pytest.raises(ValueError, match="which is no data"):
        restore(None, {"data": name, "fields": ["true"]}, {})


def test_a_file_that_says_something_unknown_is_refused():
    with pytest.raises(ValueError, match="something unknown: pickle"):
        restore(None, {"pickle": "gASV"}, {})


def test_the_state_of_an_optimizer_that_is_none_is_refused_in_a_sentence(tmp_path):
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))])
    _, groups = capture(optimizer, {})["optimizer"]["dict"]
    forged = {"optimizer": {"dict": [["state", [None]], groups]}}
    with pytest.raises(UserError, match="cannot be read"), reading("checkpoint", tmp_path):
        restore(optimizer, forged, {})
