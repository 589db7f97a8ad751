"""A climb of two rungs, where it stops, and what one rung takes over from another."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from cotutor.climb import climb, load_ladder, parse_ladder
from cotutor.config import TrainConfig, from_yaml
from cotutor.errors import UserError
from cotutor.report.climbed import write_climb
from cotutor.runs.folder import RunFolder
from cotutor.shipped import shipped
from cotutor.train import build, go_on, train

LADDER = """
about: two rungs
settings:
  student: text
  plans: {enabled: true, decisions: 2}
  ppo: {envs: 4, steps: 32, batch_size: 64, gamma: 0.9, gae_lambda: 0.9}
  trust: {trial_every: 2}
  eval_episodes: 8
  teacher_eval_episodes: 4
  replays: 1
rungs:
  - {task: "babyai:GoToRedBallNoDists", frames: 30000, mastered: 0.5}
  - {task: "babyai:PutNextLocal", frames: 600, mastered: 1.0}
"""
SETTINGS = {"teacher": "uniform", "threads": 1}
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def climbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("climb")
    return out, list(climb(parse_ladder("two", LADDER), out, SETTINGS, QUIET))


def test_a_mastered_rung_leads_to_the_next_and_one_that_is_not_ends_the_climb(climbed):
    _, rungs = climbed
    assert [rung.rung.task for rung in rungs] == ["babyai:GoToRedBallNoDists", "babyai:PutNextLocal"]
    assert [rung.mastered for rung in rungs] == [True, False]
    assert rungs[0].summary.frames < 30000
    assert rungs[0].summary.pair_success >= 0.5


def test_the_next_rung_is_measured_before_it_is_trained(climbed):
    summary = climbed[1][0].summary
    assert summary.transfer_task == "babyai:PutNextLocal"
    assert summary.transfer_pair_success is not None
    assert summary.transfer_teacher_success is not None


def test_a_rung_goes_on_from_the_weights_of_the_one_before(climbed):
    out, _ = climbed
    first = RunFolder(min(out.glob("01-*")))
    config = replace(from_yaml(first.config), task="babyai:PutNextLocal", run_dir=None)
    pair = build(config)
    go_on(config, first.path, pair)
    for policy, file in ((pair.model.policy, first.student), (pair.working, first.worker)):
        saved, now = load_file(file), dict(policy.named_parameters())
        assert all(torch.equal(saved[name], value) for name, value in now.items())
    memory = pair.adviser.memory
    assert memory.rows
    memory.record(["a context never met"], np.array([0]), np.array([1.0]))
    assert memory.visits("a context never met") == 1.0


def test_what_evaluation_asked_is_not_handed_on(climbed):
    out, rungs = climbed
    state = json.loads((RunFolder(min(out.glob("01-*"))).dialogue / "state.json").read_text())
    assert len(state["answers"]) <= rungs[0].summary.contexts_asked


def test_the_page_shows_every_rung(climbed):
    out, rungs = climbed
    page = write_climb(parse_ladder("two", LADDER), rungs, out).read_text()
    (out / "report.html").unlink()
    assert "1 of 2 rungs are mastered" in page
    for rung in rungs:
        assert f"{rung.folder.path.name}/report.html" in page


def test_what_is_done_is_not_done_again(climbed):
    out, rungs = climbed
    again = list(climb(parse_ladder("two", LADDER), out, SETTINGS, QUIET))
    assert again == rungs
    with pytest.raises(UserError, match="other settings"):
        next(climb(parse_ladder("two", LADDER), out, {**SETTINGS, "seed": 7}, QUIET))


def test_a_run_goes_on_only_from_its_like(climbed, tmp_path):
    out, _ = climbed
    start = min(out.glob("01-*"))
    with pytest.raises(UserError, match="whose teacher was another"):
        train(TrainConfig(start=start, teacher="random", threads=1, run_dir=tmp_path / "run"), QUIET)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", shipped("ladder"))
def test_every_shipped_ladder_can_be_read(name: str):
    assert load_ladder(name).rungs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1", "not YAML"),
        ("{}", "must have about, settings and rungs"),
        ("{about: a, settings: {}, rungs: []}", "list of rungs"),
        ("{about: a, settings: {}, rungs: [{task: t}]}", "at rung 1"),
        ("{about: a, settings: {}, rungs: [{task: t, frames: 1, mastered: 2}]}", "must be in"),
        ("{about: a, settings: {nonsense: 1}, rungs: [{task: t, frames: 1, mastered: 1}]}", "unknown key nonsense"),
        ("{about: a, settings: {}, rungs: [{task: t, frames: many, mastered: 1}]}", "must be of type int"),
    ],
)
def test_what_is_no_ladder_is_refused_in_a_sentence(text: str, message: str):
    with pytest.raises(UserError, match=message):
        parse_ladder("bad", text)


def test_an_unknown_ladder_is_refused():
    with pytest.raises(UserError, match="There is no ladder nonsense"):
        load_ladder("nonsense")
