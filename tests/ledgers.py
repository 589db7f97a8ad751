"""How far a run has come that goes on in another process."""

from pathlib import Path

from cotutor.errors import UserError
from cotutor.runs.folder import RunFolder
from cotutor.runs.ledger import read


def rounds_of(run: Path) -> int:
    """Returns how many rounds the ledger of a run has, none as long as it is only being made."""
    ledger = RunFolder(run).ledger
    if not ledger.exists():
        return 0
    try:
        return read(ledger, "SELECT count(*) AS n FROM rounds")[0]["n"]
    except UserError:
        return 0
