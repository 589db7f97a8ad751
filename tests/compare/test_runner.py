"""Real runs in real processes: once each, again when killed, and what they will cost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from cotutor.compare.kept import read_all, read_kept, write
from cotutor.compare.recipe import Recipe, parse_recipe
from cotutor.compare.runner import Plan, make_plan, plan_table, run_recipe
from cotutor.errors import UserError
from tests.compare.made import made_run
from tests.ledgers import rounds_of

TEXT = """
about: Do runs run?
seeds: [0]
settings: {threads: 1, task: "babyai:GoToRedBallNoDists", student: image, frames: 1024, eval_episodes: 4,
           teacher_eval_episodes: 4, agreement_states: 8, replays: 0}
subject: ppo
methods: {ppo: {method: ppo}, bag: {method: mutual, teacher: bow}}
tasks: {red: {}}
"""
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return parse_recipe("small", TEXT)


@pytest.fixture(scope="module")
def done(recipe, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    assert run_recipe(recipe, folder / "out", folder / "work", 2, QUIET) == []
    return folder


def test_every_run_is_done_and_kept(recipe, done) -> None:
    kept = read_all(done / "out" / "runs")
    assert [(run.method, run.seed, run.summary.frames) for run in kept] == [("bag", 0, 1024), ("ppo", 0, 1024)]
    assert kept[0].settings == recipe.cells()[1].settings
    assert make_plan(recipe, done / "out" / "runs").todo == []


def test_a_finished_run_is_never_run_again(recipe, done) -> None:
    summary = done / "work" / "red--ppo--0" / "summary.json"
    before = summary.stat().st_mtime_ns
    kept = done / "out" / "runs" / "red--ppo--0.json"
    content = kept.read_bytes()
    kept.unlink()
    run_recipe(recipe, done / "out", done / "work", 2, QUIET)
    assert kept.read_bytes() == content
    assert summary.stat().st_mtime_ns == before


def test_a_run_of_other_settings_does_not_count(recipe, done) -> None:
    other = parse_recipe("small", TEXT.replace("frames: 1024", "frames: 2048"))
    with pytest.raises(UserError, match="other settings than the recipe has now"):
        make_plan(other, done / "out" / "runs")


def test_a_failed_run_is_returned_and_leaves_its_log(tmp_path) -> None:
    failing = parse_recipe("failing", TEXT.replace("teacher: bow", "task: 'babyai:Nowhere'"))
    (cell,) = run_recipe(failing, tmp_path / "out", tmp_path / "work", 2, QUIET)
    assert cell.method == "bag"
    assert "babyai:Nowhere" in (tmp_path / "work" / "red--bag--0.log").read_text()
    assert [run.method for run in read_all(tmp_path / "out" / "runs")] == ["ppo"]


def slow(value: object):
    return pytest.param(value, marks=pytest.mark.slow)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell starts its background jobs deaf to SIGINT, and pytest may be one of them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("sign", [signal.SIGINT, slow(signal.SIGTERM), slow(signal.SIGKILL)])
def test_a_killed_comparison_goes_on_where_it_stopped(tmp_path, sign) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(TEXT.replace("frames: 1024", "frames: 3072"))
    command = [sys.executable, "-m", "cotutor", "compare", str(path), "--jobs", "2"]
    command += ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait_for(lambda: rounds_of(tmp_path / "work" / "red--bag--0") > 0)
    first.send_signal(sign)
    assert first.wait(timeout=60) == (-signal.SIGKILL if sign == signal.SIGKILL else 130)
    if sign == signal.SIGKILL:
        _end_runs_of(tmp_path)
    else:
        assert not _runs_of(tmp_path)
    assert not (tmp_path / "work" / "red--bag--0" / "summary.json").exists()
    again = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "2/2 runs" in again.stdout
    log = (tmp_path / "work" / "red--bag--0.log").read_text()
    assert ("Stopped after" in log) == (sign != signal.SIGKILL)
    assert ("begins again" in log) == (sign == signal.SIGKILL)
    assert [run.summary.frames for run in read_all(tmp_path / "out" / "runs")] == [3072, 3072]
    assert (tmp_path / "out" / "README.md").is_file()
    assert (tmp_path / "out" / "report.html").is_file()


def test_two_comparisons_do_not_share_a_folder(recipe, tmp_path) -> None:
    holder = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); "
        "print('held', flush=True); time.sleep(60)"
    )
    (tmp_path / "work").mkdir()
    other = subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / "work" / "lock")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="Another comparison is at work"):
            run_recipe(recipe, tmp_path / "out", tmp_path / "work", 1, QUIET)
    finally:
        other.kill()
        other.wait()


def test_the_cost_rests_on_runs_that_were_timed(recipe, tmp_path) -> None:
    rough = make_plan(recipe, tmp_path)
    assert rough.timed == [False, False]
    run = made_run("red", "ppo", 1, taught=False)
    write(replace(run, summary=replace(run.summary, wall_seconds=20.48, frames=1024)), tmp_path)
    plan = make_plan(recipe, tmp_path)
    assert plan.timed == [True, False]
    assert plan.seconds[0] == pytest.approx(20.48, abs=11)
    table, cost = plan_table(plan, 2)
    assert table.row_count == 2
    assert "2 runs are left" in cost


def test_wall_time_is_that_of_the_fullest_core() -> None:
    plan = Plan([], [], [10.0, 10.0, 30.0, 5.0], [True] * 4)
    assert plan.wall_seconds(1) == 55.0
    assert plan.wall_seconds(2) == 40.0


def test_a_kept_run_that_is_broken_is_named(recipe, tmp_path) -> None:
    (tmp_path / "red--ppo--0.json").write_text("{")
    with pytest.raises(UserError, match=r"kept run .* cannot be read"):
        make_plan(recipe, tmp_path)
    with pytest.raises(UserError):
        read_kept(tmp_path / "nothing.json")


def _runs_of(folder: Path) -> list[int]:
    """Returns the processes that train in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_text().split("\0")
            except OSError:
                continue
            if "train" in words and any(str(folder) in word for word in words):
                found.append(int(entry.name))
    return found


def _end_runs_of(folder: Path) -> None:
    for process in _runs_of(folder):
        os.kill(process, signal.SIGKILL)
    _wait_for(lambda: not _runs_of(folder))


def _wait_for(happened) -> None:
    limit = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < limit
        time.sleep(0.02)
