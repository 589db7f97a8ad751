"""The scripts in examples/ run, and the README shows the shortest of them as it is."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


@pytest.mark.parametrize("name", ["own_script.py", pytest.param("own_dqn.py", marks=pytest.mark.slow)])
def test_a_script_runs(name):
    done = subprocess.run([sys.executable, EXAMPLES / name], capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "trust in the teacher" in done.stdout


def test_the_readme_shows_the_shortest():
    code = (EXAMPLES / "own_script.py").read_text().split('"""\n\n', 1)[1]
    assert code in (ROOT / "README.md").read_text()
    assert len([line for line in code.splitlines() if line]) < 15
