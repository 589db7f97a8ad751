"""The page of climbs compared, in a real browser too."""

import json

import pytest
from test_browser import drive, needs_browser, open_page
from test_page import Page, words
from tests.compare.test_climbs import LADDER, made_climbs

from cotutor.report.climbs import kind_of, write_climbs


@pytest.fixture
def page(tmp_path):
    return write_climbs(LADDER, made_climbs(), tmp_path / "report.html")


def test_it_answers_first_and_names_stay_text(page):
    html = Page(page.read_text())
    text = words(html.text)
    assert text.index("mutual mastered 2.00 [2.00, 2.00] of 3 rungs in 5 climbs.") < text.index("Frames to 90%")
    assert "Does <script>alert(1)</script> it help?" in text
    assert not any("<script" in json.dumps(figure) for figure in html.data["figures"])


def test_every_climb_has_its_stairs_and_the_subject_is_on_top(page):
    stairs, rungs = Page(page.read_text()).data["figures"]
    assert len(stairs["traces"]) == 15
    assert stairs["traces"][-1]["name"] == "mutual"
    assert stairs["traces"][-1]["y"] == [0, 1, 1, 2]
    assert rungs["layout"]["yaxis"]["ticktext"] == ["easy", "hard|er"]


def test_what_has_another_teacher_is_a_control():
    assert [kind_of(LADDER, method) for method in ("mutual", "chance", "ppo", "guest")] == [
        "subject",
        "control",
        "rival",
        "rival",
    ]


@needs_browser
def test_both_plots_are_drawn_without_an_error(page, tmp_path):
    dom, console = open_page(page, tmp_path / "profile")
    assert console == ""
    assert dom.count('class="point"') > 30
    assert "<script>alert" not in dom
    noted = drive(page, tmp_path, "noted.wide = page.documentElement.scrollWidth <= page.documentElement.clientWidth;")
    assert noted["wide"]
