"""What is installed from the wheel works where there is no checkout."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def call(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_is_whole_and_runs_in_a_clean_environment(tmp_path):
    """The environment has this one's dependencies, but not the checkout, which is installed here as editable."""
    call(sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", tmp_path, ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("cotutor-*.whl")
    shipped = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src" / "cotutor").rglob("*.*")}
    shipped = {name for name in shipped if "__pycache__" not in name}
    assert "cotutor/py.typed" in shipped
    assert shipped <= set(zipfile.ZipFile(wheel).namelist())

    clean = tmp_path / "clean"
    venv.create(clean)
    python = clean / "bin" / "python"
    call(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--quiet", wheel, cwd=tmp_path)
    (site,) = clean.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    assert str(site) in call(python, "-c", "import cotutor; print(cotutor.__file__)", cwd=tmp_path)
    run = "train --task toy:FrozenLake --teacher oracle --method realtime --frames 1024 --run-dir run --threads 1"
    call(clean / "bin" / "cotutor", *run.split(), cwd=tmp_path)
    assert (tmp_path / "run" / "report.html").stat().st_size > 100_000
