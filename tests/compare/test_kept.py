import json
from dataclasses import asdict

import pytest

from cotutor.compare.kept import MOST_POINTS, file_name, keep, read_all, read_kept, write
from cotutor.errors import UserError
from cotutor.loop import RoundReport
from cotutor.runs.ledger import Ledger
from tests.compare.made import made_run


def test_what_is_written_is_read(tmp_path) -> None:
    run = made_run("near", "mutual, random teacher", 3, settings={"ppo": {"steps": 16}})
    path = write(run, tmp_path / "runs")
    assert path.name == "near--mutual-random-teacher--3.json"
    assert read_kept(path) == run
    assert read_all(tmp_path / "runs") == [run]
    assert [entry.name for entry in (tmp_path / "runs").iterdir()] == [path.name]


def test_names_of_files_hold_no_path() -> None:
    assert file_name("t", "../../etc/passwd <x>", 0) == "t--etc-passwd-x--0"


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"task": 1}'])
def test_a_broken_file_is_named(tmp_path, content: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"The kept run .*broken\.json cannot be read"):
        read_kept(path)


def test_a_run_folder_is_kept_with_its_curve(tmp_path) -> None:
    rounds = MOST_POINTS + 40
    run = made_run("near", "mutual", 4, rounds=rounds)
    (tmp_path / "summary.json").write_text(json.dumps(asdict(run.summary)))
    ledger = Ledger(tmp_path / "ledger.sqlite", most=1000)
    for i in range(rounds):
        report = RoundReport(i, 10 * (i + 1), 0.5, 0.1, i, 0.2, 0, None, None, [])
        ledger.add_round(report, i, 10 * (i + 1), 0.1 * i, None if i == 0 else 0.5, 0.7 if i == 7 else None)
    ledger.close()
    kept = keep(tmp_path, "near", "mutual", {"seed": 4})
    assert (kept.seed, kept.summary) == (4, run.summary)
    assert MOST_POINTS <= len(kept.curve.frames) <= MOST_POINTS + 1
    assert (kept.curve.frames[0], kept.curve.frames[-1]) == (10, 10 * rounds)
    assert kept.curve.success[0] is None
    assert [value for value in kept.curve.teacher_agreement if value is not None] == [0.7]
