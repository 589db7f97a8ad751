"""The ledger: every round, episode, consultation and failure of the teacher in a run, in SQLite."""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cotutor.errors import UserError
from cotutor.loop import RoundReport
from cotutor.runs.folder import writing
from cotutor.types import Consultation, FloatArray

SCHEMA = """
CREATE TABLE IF NOT EXISTS rounds (
    round INTEGER PRIMARY KEY, frames INTEGER NOT NULL, seconds REAL NOT NULL, success REAL, trust REAL,
    gain REAL, asked INTEGER, teacher_seconds REAL, teacher_updates INTEGER, lesson_loss REAL,
    distillation_loss REAL, teacher_agreement REAL
);
CREATE TABLE IF NOT EXISTS episodes (
    frames INTEGER NOT NULL, trial INTEGER NOT NULL, return REAL NOT NULL, length INTEGER NOT NULL,
    success INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS consultations (
    round INTEGER NOT NULL, context TEXT NOT NULL, options TEXT NOT NULL, raw TEXT NOT NULL, calibrated TEXT NOT NULL,
    revised TEXT NOT NULL, visits TEXT NOT NULL, advantage TEXT NOT NULL, spread TEXT NOT NULL, trust REAL NOT NULL,
    teacher_version INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS failures (round INTEGER NOT NULL, kind TEXT NOT NULL, words TEXT NOT NULL);
"""
BOUNDED = ("episodes", "consultations", "failures")
TABLES = ("rounds", *BOUNDED)


class Ledger:
    """Writes the ledger of a run; lists are stored as JSON, one number per option.

    Args:
        path: The file; made, if there is none.
        most: Rows that are kept of each table but the rounds, the latest.
    """

    def __init__(self, path: Path, most: int) -> None:
        self.run = path.parent
        self.most = most
        with writing(self.run):
            self.database = sqlite3.connect(path)
            self.database.executescript(SCHEMA)

    def add_round(
        self,
        report: RoundReport | None,
        round_number: int,
        frames: int,
        seconds: float,
        success: float | None,
        agreement: float | None,
    ) -> None:
        """Adds a round with its consultations; ``report`` is None where there is no teacher."""
        taught = (
            (None,) * 7
            if report is None
            else (
                report.trust,
                report.gain,
                report.asked,
                report.teacher_seconds,
                report.teacher_updates,
                report.lesson_loss,
                report.distillation_loss,
            )
        )
        with writing(self.run):
            self.database.execute(
                f"INSERT INTO rounds VALUES ({','.join('?' * 12)})",
                (round_number, frames, seconds, success, *taught, agreement),
            )
            if report is not None:
                self.add_consultations(report.consultations)
                self.database.executemany(
                    "INSERT INTO failures VALUES (?,?,?)",
                    ((round_number, failure.kind, failure.words) for failure in report.failures),
                )
            for table in BOUNDED:
                self.database.execute(
                    f"DELETE FROM {table} WHERE rowid <= (SELECT max(rowid) FROM {table}) - ?", (self.most,)
                )
            self.database.commit()

    def add_episode(self, frames: int, trial: bool, episode_return: float, length: int, success: bool) -> None:
        """Adds a finished training episode; committed with its round."""
        with writing(self.run):
            self.database.execute(
                "INSERT INTO episodes VALUES (?,?,?,?,?)",
                (frames, int(trial), float(episode_return), int(length), int(success)),
            )

    def add_consultations(self, consultations: Iterable[Consultation]) -> None:
        """Adds consultations; committed with their round."""
        self.database.executemany(
            f"INSERT INTO consultations VALUES ({','.join('?' * 11)})", (_row(entry) for entry in consultations)
        )

    def size(self) -> dict[str, int]:
        """Returns the number of the last row of each table, −1 where there is none."""
        return {
            table: self.database.execute(f"SELECT coalesce(max(rowid), -1) FROM {table}").fetchone()[0]
            for table in TABLES
        }

    def cut(self, size: dict[str, int]) -> None:
        """Removes the rows after those that :meth:`size` told of."""
        with writing(self.run):
            for table in TABLES:
                self.database.execute(f"DELETE FROM {table} WHERE rowid > ?", (size[table],))
            self.database.commit()

    def close(self) -> None:
        with writing(self.run):
            self.database.commit()
        self.database.close()


def read(path: Path, query: str, *values: object) -> list[sqlite3.Row]:
    """Returns the rows that ``query`` finds in a ledger, which is opened for reading only.

    Raises:
        UserError: There is no ledger at ``path``, or it is none.
    """
    try:
        database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            database.row_factory = sqlite3.Row
            return database.execute(query, values).fetchall()
        finally:
            database.close()
    except sqlite3.Error as error:
        raise UserError(f"The ledger {path} cannot be read: {error}.") from error


def _row(entry: Consultation) -> tuple[object, ...]:
    return (
        entry.round,
        entry.question.context,
        json.dumps([option.phrase for option in entry.question.options]),
        _numbers(entry.raw_O),
        _numbers(entry.calibrated_O),
        _numbers(entry.revised_O),
        _numbers(entry.feedback.visits_O),
        _numbers(entry.feedback.advantage_O),
        _numbers(entry.feedback.spread_O),
        entry.trust,
        entry.teacher_version,
    )


def _numbers(values_O: FloatArray) -> str:
    return json.dumps([round(float(value), 6) for value in np.asarray(values_O)])
