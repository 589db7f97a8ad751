"""The ledger's bound."""

from contextlib import closing

from cotutor.runs.ledger import Ledger, read


def test_the_latest_episodes_are_kept_and_every_round(tmp_path):
    with closing(Ledger(tmp_path / "ledger.sqlite", most=10)) as ledger:
        for number in range(8):
            for i in range(3):
                ledger.add_episode(3 * number + i, False, 1.0, 5, True)
            ledger.add_round(None, number, 3 * number + 2, 0.0, None, None)
    kept = read(tmp_path / "ledger.sqlite", "SELECT frames FROM episodes ORDER BY rowid")
    assert [row["frames"] for row in kept] == list(range(14, 24))
    assert read(tmp_path / "ledger.sqlite", "SELECT count(*) AS n FROM rounds")[0]["n"] == 8
