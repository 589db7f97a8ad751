"""The page in a real browser."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from synthetic import UNTRUSTED

from cotutor.config import TrainConfig
from cotutor.replays import record, write_replays
from cotutor.report import write_report
from cotutor.train import build

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=10000",
)

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
pytestmark = needs_browser


def open_page(page: Path, profile: Path, *flags: str) -> tuple[str, str]:
    """Returns the page's DOM after its scripts ran, and what they said on the console."""
    command = [str(CHROMIUM), *QUIET, f"--user-data-dir={profile}", *flags, "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.parametrize("flags", [(), ("--blink-settings=preferredColorScheme=0",)], ids=["light", "dark"])
def test_every_plot_is_drawn_without_an_error(mutual_run, tmp_path, flags):
    dom, console = open_page(write_report(mutual_run), tmp_path / "profile", *flags)
    assert console == ""
    assert dom.count('class="main-svg"') >= 5
    for name in ("learning", "trust", "gain", "asked", "seconds"):
        plot = dom.split(f'id="plot-{name}"')[1].split("<figcaption>")[0]
        assert 'class="js-line"' in plot
    pair = "#56b4e9" if flags else "#0068a8"
    red, green, blue = (int(pair[i : i + 2], 16) for i in (1, 3, 5))
    assert f"stroke: rgb({red}, {green}, {blue})" in dom


def test_the_page_of_ppo(ppo_run, tmp_path):
    dom, console = open_page(write_report(ppo_run), tmp_path / "profile")
    assert console == ""
    assert dom.count('class="js-line"') == 2


def test_a_phone_never_scrolls_sideways(mutual_run, tmp_path):
    page = write_report(mutual_run)
    frame = tmp_path / "phone.html"
    frame.write_text(
        f'<iframe id="phone" src="{page.as_uri()}" style="width:390px;height:800px"></iframe><p id="width"></p><script>'
        "addEventListener('load', () => setTimeout(() => { const page = document.getElementById('phone')"
        ".contentDocument.documentElement; document.getElementById('width').textContent = "
        "`${page.scrollWidth} of ${page.clientWidth}`; }, 2000));</script>"
    )
    dom, _ = open_page(frame, tmp_path / "profile", "--allow-file-access-from-files")
    inside, _, outside = dom.split('id="width">')[1].split("<")[0].partition(" of ")
    assert 300 < int(inside) <= int(outside)


def drive(page: Path, tmp_path: Path, script: str) -> dict[str, object]:
    """Opens a page in a frame, lets a script act on its ``document`` and returns what the script notes."""
    frame = tmp_path / "driver.html"
    frame.write_text(
        f'<iframe id="page" src="{page.as_uri()}" style="width:900px;height:900px"></iframe><p id="noted"></p><script>'
        "addEventListener('load', () => setTimeout(() => { const page = document.getElementById('page')"
        ".contentDocument; const noted = {}; const find = (id) => page.getElementById(id); "
        f"{script} document.getElementById('noted').textContent = encodeURIComponent(JSON.stringify(noted)); "
        "}, 2000));"
        "</script>"
    )
    dom, console = open_page(frame, tmp_path / "profile", "--allow-file-access-from-files")
    assert console == ""
    return json.loads(unquote(dom.split('id="noted">')[1].split("<")[0]))


@pytest.fixture
def replayed_run(mutual_run):
    """A run with real replays of an untrained pair, of which the first is told something hostile."""
    pair = build(TrainConfig(teacher="bow", student="image", threads=1))
    assert pair.loop is not None
    pair.loop.init_callback(pair.model)
    first, *rest = record(pair, "image", 3, seed=0)
    hostile = [
        replace(moment, told=UNTRUSTED, question=replace(moment.question, context=UNTRUSTED))
        for moment in first.moments
    ]
    write_replays(mutual_run / "replays.json", [replace(first, moments=tuple(hostile)), *rest])
    return mutual_run


def test_an_episode_is_stepped_through(replayed_run, tmp_path):
    noted = drive(
        write_report(replayed_run),
        tmp_path,
        "const count = () => find('replay-count').textContent; noted.start = count();"
        "noted.cells = find('replay-view').querySelectorAll('svg *').length;"
        "find('replay-forward').click(); find('replay-forward').click(); noted.two = count();"
        "find('replay-back').click(); noted.one = count();"
        "const key = new page.defaultView.KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true});"
        "find('replay').dispatchEvent(key);"
        "noted.key = count(); noted.told = find('replay-context').textContent;"
        "find('replay-last').click(); noted.last = count();"
        "noted.scripts = page.querySelectorAll('#replay script').length;"
        "const choice = find('replay-episode'); choice.value = '1';"
        "choice.dispatchEvent(new page.defaultView.Event('change')); noted.other = count();"
        "noted.next = find('replay-context').textContent;",
    )
    assert noted["cells"] > 10
    numbers = [
        int("".join(c for c in str(noted[name]).split("/")[0].split("of")[0] if c.isdigit()))
        for name in ("start", "two", "one", "key")
    ]
    assert numbers == [1, 3, 2, 3]
    assert noted["last"] != noted["key"]
    assert "<script>alert(1)</script>" in str(noted["told"])
    assert noted["scripts"] == 0
    assert "alert" not in str(noted["next"])


def test_contexts_are_searched_and_sorted(mutual_run, tmp_path):
    noted = drive(
        write_report(mutual_run),
        tmp_path,
        "const box = find('changes-advice'); const rows = () => [...box.querySelectorAll('tbody')].length;"
        "const text = () => box.textContent; noted.all = rows(); noted.hostile = text().includes('<script>alert(1)');"
        "noted.images = box.querySelectorAll('img').length;"
        "const search = box.querySelector('input'); search.value = 'blue ball';"
        "search.dispatchEvent(new page.defaultView.Event('input')); noted.blue = rows(); noted.text = text();",
    )
    assert (noted["all"], noted["blue"]) == (5, 1)
    assert noted["hostile"]
    assert noted["images"] == 0
    assert "green ball" not in str(noted["text"])
