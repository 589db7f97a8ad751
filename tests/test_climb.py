"""A climb of two rungs, where it stops, and what one rung takes over from another."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from cotutor.climb import Climbed, Ladder, Rung, climb, load_ladder, parse_ladder, remembered
from cotutor.compare.climbs import keep_climb
from cotutor.config import TrainConfig, from_yaml
from cotutor.errors import UserError
from cotutor.report.climbed import write_climb
from cotutor.runs.folder import RunFolder
from cotutor.runs.ledger import Ledger, read
from cotutor.shipped import shipped
from cotutor.train import Recorder, build, go_on, train

LADDER = """
about: two rungs
settings:
  student: text
  plans: {enabled: true, decisions: 2}
  teacher: uniform
  threads: 1
  ppo: {envs: 4, steps: 32, batch_size: 64, gamma: 0.9, gae_lambda: 0.9}
  trust: {trial_every: 2}
  eval_episodes: 8
  teacher_eval_episodes: 4
  replays: 1
methods:
  mutual: {method: mutual}
rungs:
  - {task: "babyai:GoToRedBallNoDists", frames: 3000, mastered: 0.1}
  - {task: "babyai:PutNextLocal", frames: 600, mastered: 1.0}
"""
TWO = parse_ladder("two", LADDER)
SETTINGS = TWO.settings_of("mutual")
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def climbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("climb")
    return out, list(climb(TWO, out, SETTINGS, QUIET))


def test_a_mastered_rung_leads_to_the_next_and_one_that_is_not_ends_the_climb(climbed):
    _, rungs = climbed
    assert [rung.rung.task for rung in rungs] == ["babyai:GoToRedBallNoDists", "babyai:PutNextLocal"]
    assert [rung.mastered for rung in rungs] == [True, False]
    assert rungs[0].summary.frames >= 3000
    assert rungs[0].summary.pair_success >= 0.1


def test_the_next_rung_is_measured_before_it_is_trained(climbed):
    summary = climbed[1][0].summary
    assert summary.transfer.keys() == {"babyai:PutNextLocal"}
    assert summary.transfer["babyai:PutNextLocal"].keys() == {"pair", "student", "teacher"}


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
    assert memory.sums.rows
    memory.record(["a context never met"], np.array([0]), np.array([1.0]))
    assert memory.sums.count("a context never met") == 1.0


def test_what_evaluation_asked_is_not_handed_on(climbed):
    out, rungs = climbed
    state = json.loads((RunFolder(min(out.glob("01-*"))).dialogue / "state.json").read_text())
    assert len(state["answers"]) <= rungs[0].summary.contexts_asked


def test_the_page_shows_every_rung(climbed):
    out, rungs = climbed
    page = write_climb(TWO, rungs, out, remembered(rungs, out, QUIET)).read_text()
    (out / "report.html").unlink()
    assert "1 of 2 rungs are mastered" in page
    for rung in rungs:
        assert f"{rung.folder.path.name}/report.html" in page


def test_what_is_done_is_not_done_again(climbed):
    out, rungs = climbed
    again = list(climb(TWO, out, SETTINGS, QUIET))
    assert again == rungs
    with pytest.raises(UserError, match="other settings"):
        next(climb(TWO, out, {**SETTINGS, "seed": 7}, QUIET))


def test_a_climb_may_stop_before_the_last_rung(climbed):
    out, rungs = climbed
    assert [rung.rung for rung in climb(TWO, out, SETTINGS, QUIET, rungs=1)] == [rungs[0].rung]
    with pytest.raises(UserError, match="has 2 rungs, so 0 cannot be climbed"):
        next(climb(TWO, out, SETTINGS, QUIET, rungs=0))


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
        ("{}", "must have about, settings, methods and rungs"),
        ("{about: a, settings: {}, methods: {}, rungs: []}", "one for each of its methods"),
        ("{about: a, settings: {}, methods: [ppo], rungs: []}", "one for each of its methods"),
        (
            "{about: a, settings: {}, methods: {bc: {method: bc}}, rungs: [{task: t, frames: 1, mastered: 1}]}",
            "so it cannot climb",
        ),
        ("{about: a, settings: {}, methods: {ppo: 1}, rungs: []}", "one for each of its methods"),
        ("{about: a, settings: {}, methods: {ppo: {}}, rungs: []}", "list of rungs"),
        ("{about: a, settings: {}, methods: {ppo: {}}, turn: soon, rungs: [1]}", "must be a number of frames"),
        ("{about: a, settings: {}, methods: {ppo: {}}, rungs: [{task: t}]}", "at rung 1"),
        ("{about: a, settings: {}, methods: {ppo: {}}, rungs: [{task: t, frames: 1, mastered: 2}]}", "must be in"),
        (
            "{about: a, settings: {nonsense: 1}, methods: {ppo: {}}, rungs: [{task: t, frames: 1, mastered: 1}]}",
            "unknown key nonsense",
        ),
        (
            "{about: a, settings: {}, methods: {ppo: {}}, rungs: [{task: t, frames: many, mastered: 1}]}",
            "must be a number of them",
        ),
    ],
)
def test_what_is_no_ladder_is_refused_in_a_sentence(text: str, message: str):
    with pytest.raises(UserError, match=message):
        parse_ladder("bad", text)


def test_an_unknown_ladder_is_refused():
    with pytest.raises(UserError, match="There is no ladder nonsense"):
        load_ladder("nonsense")


def test_a_ladder_may_be_like_another_but_for_what_it_says():
    ladder, model = load_ladder("balrog"), load_ladder("babyai")
    assert (ladder.methods, ladder.settings) == (model.methods, model.settings)
    assert ladder.about != model.about
    assert ladder.rungs[0].task == "balrog:GoTo"
    with pytest.raises(UserError, match="no ladder nonsense"):
        parse_ladder("bad", "{like: nonsense}")


def test_an_unknown_method_is_refused():
    with pytest.raises(UserError, match="has no method 'nonsense'"):
        TWO.settings_of("nonsense")


def test_what_is_mastered_is_rehearsed_in_some_environments_and_counts_in_no_success(climbed):
    _, rungs = climbed
    config = from_yaml(rungs[1].folder.config)
    assert config.rehearse == ("babyai:GoToRedBallNoDists",)
    envs = build(config).model.get_env().unwrapped.envs
    missions = [env.reset(seed=0)[1]["context"] for env in envs]
    assert ["red ball" in mission and "go to" in mission for mission in missions] == [True, False, False, False]


def test_episodes_of_rehearsal_count_for_no_success(tmp_path):
    with closing(Ledger(tmp_path / "ledger.sqlite", most=1000)) as ledger:
        recorder = Recorder(ledger, SimpleNamespace(), rehearsing=1)
        ended = {"is_success": True, "episode": {"r": 1.0, "l": 3}}
        recorder.locals = {"infos": [ended, {}, {**ended, "is_success": False}]}
        recorder._on_step()
    assert list(recorder.window.recent) == [False]
    assert len(read(tmp_path / "ledger.sqlite", "SELECT * FROM episodes")) == 1


def test_a_run_that_goes_on_meets_other_levels(climbed):
    _, rungs = climbed
    first = rungs[0].folder
    assert (rungs[0].summary.runs_before, rungs[1].summary.runs_before) == (0, 1)
    config = replace(from_yaml(first.config), run_dir=None)
    pairs = [build(config) for _ in range(2)]
    go_on(config, first.path, pairs[1])
    levels = []
    for pair in pairs:
        envs = pair.model.get_env()
        envs.reset()
        levels.append([env.unwrapped.pprint_grid() for env in envs.unwrapped.envs])
    assert all(one != other for one, other in zip(*levels, strict=True))


def test_what_is_remembered_is_measured_once(climbed):
    out, rungs = climbed
    success = remembered(rungs, out, QUIET)
    assert success.keys() == {"babyai:GoToRedBallNoDists"}
    assert success["babyai:GoToRedBallNoDists"] > 0
    (out / "remembered.json").write_text(json.dumps({"run": rungs[-1].folder.path.name, "success": {"x": 1.0}}))
    assert remembered(rungs, out, QUIET) == {"x": 1.0}
    (out / "remembered.json").unlink()


def test_what_is_kept_of_climbs_makes_their_table(climbed, tmp_path):
    _, rungs = climbed
    for _ in range(2):
        keep_climb(TWO, rungs, "mutual, uniform planner", SETTINGS, tmp_path)
    table = (tmp_path / "README.md").read_text()
    assert "| rungs mastered | 1.00 |" in table
    assert "| babyai:GoToRedBallNoDists | 1/1 |" in table
    assert "| babyai:PutNextLocal | 0/1 |" in table


EASY, HARD, HARDEST = (Rung(task, 100, 0.9) for task in ("easy", "hard", "hardest"))
CHOOSING = Ladder("choosing", "", {}, {}, (EASY, HARD, HARDEST), turn=40)


def runs(*turns: tuple[Rung, float], frames: int = 40) -> list[Climbed]:
    """Runs of a climb, given by rung and success; nothing else of them is looked at."""
    summaries = [SimpleNamespace(pair_success=success, frames=frames) for _, success in turns]
    return [Climbed(rung, RunFolder(Path()), summary) for (rung, _), summary in zip(turns, summaries, strict=True)]


@pytest.mark.parametrize(
    ("so_far", "following"),
    [
        ([], EASY),
        ([(EASY, 0.5)], EASY),
        ([(EASY, 0.5), (EASY, 0.52)], HARD),
        ([(EASY, 0.95)], HARD),
        ([(EASY, 0.95), (HARD, 0.02)], HARDEST),
        ([(EASY, 0.95), (HARD, 0.02), (HARDEST, 0.3)], HARDEST),
        ([(EASY, 0.95), (HARD, 0.02), (HARDEST, 0.3), (HARDEST, 0.3), (HARDEST, 0.3)], HARD),
        ([(EASY, 0.95), (HARD, 0.95), (HARDEST, 0.95)], None),
        ([(HARD, 0.1), (HARD, 0.2), (HARD, 0.4), (EASY, 0.95), (HARDEST, 0.91)], None),
    ],
)
def test_with_turns_the_rung_that_moves_most_comes_next(so_far, following):
    assert CHOOSING.next_rung(runs(*so_far)) == following


@pytest.mark.parametrize(
    ("so_far", "frames", "following"),
    [([], 40, EASY), ([(EASY, 0.8)], 40, EASY), ([(EASY, 0.8)], 100, None), ([(EASY, 0.9)], 40, HARD)],
)
def test_without_turns_a_rung_has_all_its_frames_before_the_climb_is_over(so_far, frames, following):
    assert replace(CHOOSING, turn=0).next_rung(runs(*so_far, frames=frames)) == following
