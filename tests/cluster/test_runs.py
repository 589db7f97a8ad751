"""Runs on a real cluster end like runs here, also those whose node dies."""

import time

import pytest
from rich.console import Console
from tests.ledgers import rounds_of
from tests.runs.test_checkpoint import outcome

from cotutor.cluster.runs import Cluster
from cotutor.compare.kept import read_all
from cotutor.compare.recipe import parse_recipe
from cotutor.compare.runner import run_recipe

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


def test_a_run_whose_node_dies_goes_on_elsewhere_and_ends_the_same(cluster, here, tmp_path):
    def lose_all_nodes():
        for node in list(cluster.worker_nodes):
            cluster.remove_node(node, allow_graceful=False)
            cluster.add_node(num_cpus=2, object_store_memory=100 * 2**20)

    out, work = tmp_path / "out", tmp_path / "work"
    assert run_recipe(parse_recipe("there", TEXT), out, work, 2, QUIET, starting(cluster, lose_all_nodes)) == []
    assert outcome(work / BAG) == outcome(here / "work" / BAG)


def test_a_run_that_fails_says_why_in_its_log(cluster, tmp_path):
    failing = parse_recipe("failing", TEXT.replace("teacher: bow", "task: 'babyai:Nowhere'"))
    (cell,) = run_recipe(failing, tmp_path / "out", tmp_path / "work", 2, QUIET, Cluster(cluster.address))
    assert cell.method == "bag"
    assert "babyai:Nowhere" in (tmp_path / "work" / f"{BAG}.log").read_text()
