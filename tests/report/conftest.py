"""Synthetic runs as fixtures."""

from pathlib import Path

import pytest
from synthetic import MUTUAL, PPO, UNTRUSTED, consult, write_run


@pytest.fixture
def mutual_run(tmp_path: Path) -> Path:
    """A run with a teacher, and a context that tries to break out of the page."""
    consultations = [
        consult(
            UNTRUSTED,
            (0.2, 0.3, 0.5),
            (0.9, 0.05, 0.05),
            phrases=("turn left", "<img src=x onerror=alert(1)>", "go forward"),
            trust=0.91,
        ),
        *(
            consult(
                f"Your mission: go to the {colour} ball. The {colour} ball is ahead on the {side}. "
                f"A wall blocks the way{', and a grey key is to the right' if side == 'left' else ''}.",
                before,
                after,
                visits=visits,
                trust=trust,
            )
            for colour, side, before, after, visits, trust in (
                ("red", "left", (0.21, 0.33, 0.46), (0.84, 0.06, 0.1), (31.4, 12.2, 6.0), 0.88),
                ("blue", "right", (0.4, 0.3, 0.3), (0.06, 0.9, 0.04), (9.4, 22.2, 0.0), 0.79),
                ("green", "left", (0.34, 0.33, 0.33), (0.7, 0.1, 0.2), (12.4, 1.2, 2.0), 0.6),
                ("grey", "right", (0.5, 0.25, 0.25), (0.3, 0.5, 0.2), (2.0, 3.0, 1.0), 0.4),
            )
        ),
    ]
    return write_run(tmp_path / "run", MUTUAL, consultations)


@pytest.fixture
def ppo_run(tmp_path: Path) -> Path:
    """A run without a teacher."""
    return write_run(tmp_path / "run", PPO)
