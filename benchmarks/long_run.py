"""What a long run takes: memory, ledger and checkpoints while it goes on.

    python benchmarks/long_run.py OUT.json --frames 5_000_000 [any flag of cotutor train]

Starts the run in a process of its own and looks at it twice a minute, by the files of Linux's /proc.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from cotutor.errors import UserError
from cotutor.runs.checkpoint import whole
from cotutor.runs.folder import RunFolder
from cotutor.runs.ledger import read

EVERY_SECONDS = 30.0


def megabytes(*paths: Path) -> float:
    """Returns the size of files and of what is in folders."""
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*"))]
    return round(sum(file.stat().st_size for file in files if file.is_file()) / 1e6, 2)


def resident(pid: int) -> float:
    """Returns a process's resident memory in megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return round(int(kilobytes) / 1e3, 1)


def look(pid: int, folder: RunFolder) -> dict[str, float]:
    """Returns the figures of a run that is under way."""
    last = read(folder.ledger, "SELECT frames, seconds FROM rounds ORDER BY round DESC LIMIT 1")[0]
    return {
        "frames": last["frames"],
        "seconds": round(last["seconds"], 1),
        "resident_megabytes": resident(pid),
        "ledger_megabytes": megabytes(folder.ledger),
        "checkpoint_megabytes": megabytes(*whole(folder)[:1]),
        "curves_megabytes": megabytes(*folder.path.glob("events.*")),
    }


def main() -> None:
    out, flags = Path(sys.argv[1]), sys.argv[2:]
    with TemporaryDirectory() as parent:
        folder = RunFolder(Path(parent) / "run")
        run = subprocess.Popen([Path(sys.executable).with_name("cotutor"), "train", *flags, "--run-dir", folder.path])
        seen = []
        while run.poll() is None:
            time.sleep(EVERY_SECONDS)
            try:
                seen.append(look(run.pid, folder))
            except (UserError, IndexError, FileNotFoundError, ValueError):
                continue  # no round yet, a checkpoint that was just replaced, or over
            out.write_text(json.dumps({"flags": flags, "seen": seen}, indent=1) + "\n")
    print(f"{out}: {len(seen)} looks; the run ended with {run.returncode}")


if __name__ == "__main__":
    main()
