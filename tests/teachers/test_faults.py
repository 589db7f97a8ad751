"""A teacher behind a server fails in every known way, one after the other, and the student hardly notices."""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from string import ascii_uppercase

import pytest
from stable_baselines3.common.callbacks import CallbackList

from cotutor import breaker
from cotutor.breaker import Breaker
from cotutor.config import from_values
from cotutor.runs.folder import RunFolder, read_summary
from cotutor.runs.ledger import read
from cotutor.teachers.local import LocalConfig, LocalTeacher
from cotutor.train import build
from tests.teachers.faults import Proxy, proxy_before
from tests.teachers.server import serve
from tests.tiny import save_tiny

SETTINGS = {
    "task": "babyai:GoToLocal",
    "frames": 1_000_000,
    "threads": 1,
    "ppo": {"envs": 8, "steps": 16, "batch_size": 64},
    "asking": {"per_round": 1},
    "served": {"timeout": 1.5, "retries": 0, "concurrency": 2},
}
FAULTS = {
    "never": "time-out",
    "refused": "no connection",
    "429": "status 429",
    "500": "status 500",
    "half an answer": "broken off",
    "not JSON": "not understood",
    "NaN": "not understood",
    "infinite": "not understood",
    "empty": "not understood",
    "no choices": "not understood",
    "endless": "broken off",
    "one byte at a time": "time-out",
}
LONGEST = 60.0


def tiny_teacher(folder: Path) -> LocalTeacher:
    """Makes a teacher with a model that is made and asked in milliseconds."""
    path = save_tiny(folder, ["?", "go", "turn", *ascii_uppercase])
    return LocalTeacher(path, config=LocalConfig(template="{context}\nNext action:", dtype="float32"))


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> LocalTeacher:
    return tiny_teacher(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def server(local):
    with serve(local) as served:
        yield served


class DoneError(Exception):
    """All faults have been lived through."""


class Ordeal:
    """Switches from fault to fault: each lasts until it is noted, and then the teacher must be heard again."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.left = list(FAULTS)
        self.now = ""
        self.asked = 0
        self.noted: list[tuple[str, str]] = []
        self.rounds: Counter[str] = Counter()
        self.since = time.perf_counter()

    def on_round(self, report) -> None:
        self.rounds[self.now] += 1
        assert time.perf_counter() - self.since < LONGEST, f"stuck after {self.noted}"
        self.noted += [(self.now, failure.kind) for failure in report.failures]
        if FAULTS.get(self.now) in [failure.kind for failure in report.failures]:
            self.heal(report.asked)
        elif not self.now and report.asked > self.asked and not report.silent:
            self.spoil()

    def heal(self, asked: int) -> None:
        if self.now == "refused":
            self.proxy.listen()
        self.now = self.proxy.fault = ""
        self.asked, self.since = asked, time.perf_counter()

    def spoil(self) -> None:
        if not self.left:
            raise DoneError
        self.now, self.since = self.left.pop(0), time.perf_counter()
        if self.now == "refused":
            self.proxy.refuse()
        else:
            self.proxy.fault = self.now


def test_every_fault_is_noted_once_by_its_name_and_the_advice_comes_back(server, monkeypatch):
    monkeypatch.setattr(breaker, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(breaker, "LONGEST_PAUSE", 0.2)
    with proxy_before(server.url) as proxy:
        config = from_values({**SETTINGS, "teacher": f"openai:tiny@{proxy.url}"})
        pair = build(config)
        ordeal = Ordeal(proxy)
        pair.loop.on_round = ordeal.on_round
        with pytest.raises(DoneError):
            pair.model.learn(config.frames, callback=CallbackList([pair.loop]))
    cut = [("refused", "broken off")]  # a request that was under way when the server went away
    assert [noted for noted in ordeal.noted if noted not in cut] == [*FAULTS.items()]
    for slow in ("never", "one byte at a time"):
        assert ordeal.rounds[slow] >= 2, "a round waited for the teacher"


@pytest.mark.slow
def test_a_run_goes_on_alone_and_is_measured_when_the_server_is_back(server, tmp_path):
    run = tmp_path / "run"
    train = f"train --task babyai:GoToRedBallNoDists --teacher openai:tiny@{server.url} --frames 6144 --threads 1"
    flags = "--served.retries 0 --asking.per-round 8 --eval-episodes 2 --teacher-eval-episodes 2 --replays 0"
    flags += f" --agreement-states 4 --ppo.steps 16 --run-dir {run}"
    command = [sys.executable, "-m", "cotutor"]
    process = subprocess.Popen(
        [*command, *train.split(), *flags.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while len(server.requests) < 20 and process.poll() is None:
        time.sleep(0.02)
    server.failures = 1_000_000
    said, error = process.communicate(timeout=100)
    assert process.returncode == 2
    assert "the teacher does not answer" in said
    assert "busy" in error and f"cotutor resume {run}" in " ".join(error.split()) and "Traceback" not in error
    failures = read(RunFolder(run).ledger, "SELECT * FROM failures")
    assert failures and {row["kind"] for row in failures} == {"status 503"}
    server.failures = 0
    subprocess.run([*command, "resume", str(run)], capture_output=True, timeout=200, check=True)
    assert read_summary(RunFolder(run)).frames == 6144
    assert (Path(run) / "report.html").is_file()


def test_a_breaker_pauses_longer_and_longer_and_tries_with_one_question():
    clock = [0.0]
    tried = Breaker(lambda: clock[0])
    assert tried.most(64) == 64 and not tried.open
    pauses = []
    for _ in range(9):
        tried.failed()
        assert tried.open and tried.most(64) == 0
        pauses.append(tried.until - clock[0])
        clock[0] = tried.until
        assert tried.most(64) == 1 and tried.most(0) == 0
    assert all(2**n / 2 <= pause <= 2**n for n, pause in enumerate(pauses[:6]))
    assert all(30 <= pause <= 60 for pause in pauses[6:])
    for _ in range(2000):
        tried.failed()
    assert tried.until <= clock[0] + 60
    tried.answered()
    assert tried.most(64) == 64 and not tried.open
