"""The page in a real browser."""

import shutil
import subprocess
from pathlib import Path

import pytest

from cotutor.report import write_report

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

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")


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
