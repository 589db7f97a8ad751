"""What the documentation tells to type works, in the order in which it stands there, with fewer frames."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from cotutor.cli import main
from tests.tasks.test_textworld import TEXTWORLD, make_game

ROOT = Path(__file__).parent.parent
SHORTER = shlex.split("--eval-episodes 4 --teacher-eval-episodes 4 --agreement-states 8 --replays 1 --threads 1")


def commands(page: str) -> list[list[str]]:
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.replace("\\\n", "").splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("page", "count"), [("index.md", 5), ("own.md", 7)])
def test_every_command_of_a_page_works(page, count, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(TEXTWORLD)])
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    typed = commands(page)
    assert len(typed) == count
    for command in typed:
        if command[0] == "tw-make":
            make_game(*command[1:])
            continue
        if command[1] == "train":
            command[command.index("--frames") + 1] = "1024"
            command += SHORTER
        monkeypatch.setattr(sys, "argv", command)
        main()
        assert capsys.readouterr().out


def test_the_world_and_the_recipe_that_are_written_out_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "own.md").read_text()
    for kind, name in (("python", "lake.py"), ("yaml", "lake.yaml")):
        block = re.search(rf"```{kind}\n(?!--8<--)(.*?)```", page, re.DOTALL)
        assert block is not None
        (tmp_path / name).write_text(block[1])
    for command in ("check-task lake.py:Lake --states 300", "compare lake.yaml --dry-run"):
        monkeypatch.setattr(sys, "argv", ["cotutor", *command.split()])
        main()
    said = capsys.readouterr().out
    assert "The goal is 3 steps down and 3 steps right." in said
    assert "15 runs" in said


def test_every_page_stands_in_the_navigation_and_every_example_on_a_page():
    site = (ROOT / "mkdocs.yml").read_text()
    pages = [*(ROOT / "docs").glob("*.md")]
    assert all(f": {page.name}\n" in site for page in pages)
    shown = {example for page in pages for example in re.findall(r'--8<-- "(.*?)"', page.read_text())}
    assert shown == {f"examples/{path.name}" for path in (ROOT / "examples").glob("*.py")}
