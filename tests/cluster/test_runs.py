"""Runs on a real cluster end like runs here, also those whose node dies."""

import shutil
import time

import pytest
from rich.console import Console
from tests.ledgers import rounds_of
from tests.runs.test_checkpoint import outcome

from cotutor.cluster.files import read_files
from cotutor.cluster.runs import Cluster, RemoteRun
from cotutor.compare.kept import read_all
from cotutor.compare.recipe import parse_recipe
from cotutor.compare.runner import run_recipe
from cotutor.errors import UserError
from cotutor.runs.checkpoint import whole
from cotutor.runs.folder import RunFolder

TEXT = """
about: Do runs run elsewhere?
seeds: [0]
settings: {threads: 1, task: "babyai:GoToRedBallNoDists", student: image, frames: 4096, eval_episodes: 4,
           teacher_eval_episodes: 4, agreement_states: 8, replays: 0, checkpoint_seconds: 0.5}
subject: ppo
methods: {ppo: {method: ppo}, bag: {method: mutual, teacher: bow}}
tasks: {red: {}}
"""
QUIET = Console(quiet=True)
BAG = "red--bag--0"


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    assert run_recipe(parse_recipe("here", TEXT), folder / "out", folder / "work", 2, QUIET) == []
    return folder


def bag():
    """Returns the cell of the run that is looked at."""
    (cell,) = [cell for cell in parse_recipe("there", TEXT).cells() if cell.method == "bag"]
    return cell


def starting(cluster, losing=lambda: None):
    """Returns what begins runs on the cluster, and loses something as soon as one is under way."""
    spread = Cluster(cluster.address)

    def start(cell, folder):
        run = spread(cell, folder)
        if cell.method == "bag":
            until = time.monotonic() + 60
            while rounds_of(folder) < 3 and time.monotonic() < until:
                time.sleep(0.05)
            losing()
        return run

    return start


@pytest.mark.slow
def test_runs_on_a_cluster_are_those_that_run_here(cluster, here, tmp_path):
    out, work = tmp_path / "out", tmp_path / "work"
    assert run_recipe(parse_recipe("there", TEXT), out, work, 2, QUIET, Cluster(cluster.address)) == []
    assert [run.method for run in read_all(out / "runs")] == ["bag", "ppo"]
    assert outcome(work / BAG) == outcome(here / "work" / BAG)


def test_a_run_whose_node_dies_goes_on_elsewhere_and_ends_the_same(cluster, lose_nodes, here, tmp_path):
    def lose_all_nodes():
        assert not RunFolder(work / BAG).summary.exists()
        lose_nodes(list(cluster.worker_nodes))

    out, work = tmp_path / "out", tmp_path / "work"
    assert run_recipe(parse_recipe("there", TEXT), out, work, 2, QUIET, starting(cluster, lose_all_nodes)) == []
    assert outcome(work / BAG) == outcome(here / "work" / BAG)


@pytest.mark.slow
def test_a_run_that_is_stopped_goes_on_from_its_checkpoint(cluster, here, tmp_path):
    out, work = tmp_path / "out", tmp_path / "work"
    work.mkdir()
    run = starting(cluster)(bag(), work / BAG)
    run.terminate()
    assert run.wait() == 1
    stopped = work / BAG
    assert whole(RunFolder(stopped)) and not RunFolder(stopped).summary.exists()
    assert run_recipe(parse_recipe("there", TEXT), out, work, 2, QUIET, Cluster(cluster.address)) == []
    assert outcome(stopped) == outcome(here / "work" / BAG)


@pytest.mark.parametrize("there", ["nothing", "a finished run of other settings", "half a run"])
def test_what_a_run_left_on_another_machine_is_put_here_whole(here, tmp_path, there):
    done, folder = here / "work" / BAG, tmp_path / BAG
    if there != "nothing":
        shutil.copytree(done, folder)
        (folder / "old").write_text("of another run")
    if there == "half a run":
        RunFolder(folder).summary.unlink()
    if there == "a finished run of other settings":
        written = RunFolder(folder).config
        written.write_text(written.read_text().replace("frames: 4096", "frames: 2048"))
    RemoteRun(None, bag(), folder)._put(read_files(done))
    assert read_files(folder) == read_files(done)


def test_runs_on_a_cluster_have_no_actors_of_their_own(cluster, tmp_path):
    nested = parse_recipe("nested", TEXT.replace("threads: 1", "threads: 1, ray: {env_actors: 2}"))
    with pytest.raises(UserError, match="no actors of their own"):
        run_recipe(nested, tmp_path / "out", tmp_path / "work", 2, QUIET, Cluster(cluster.address))


def test_a_run_that_fails_says_why_in_its_log(cluster, tmp_path):
    failing = parse_recipe("failing", TEXT.replace("teacher: bow", "task: 'babyai:Nowhere'"))
    (cell,) = run_recipe(failing, tmp_path / "out", tmp_path / "work", 2, QUIET, Cluster(cluster.address))
    assert cell.method == "bag"
    assert "babyai:Nowhere" in (tmp_path / "work" / f"{BAG}.log").read_text()
