"""The page of a comparison, in a real browser too."""

import json

import pytest
from test_browser import drive, needs_browser, open_page
from test_page import Page, words
from tests.compare.made import made_recipe, made_run

from cotutor.compare.recipe import parse_recipe
from cotutor.report.comparison import write_comparison

CONTROL = "mutual, <script>alert(2)</script>"


FAR = "far<script>alert(3)</script>"


def elsewhere(method: str) -> dict[str, float]:
    return {"pair": 0.4, "student": 0.4} | ({} if method == "ppo" else {"teacher": 0.3})


@pytest.fixture
def page(tmp_path):
    levels = {"mutual": 0.9, CONTROL: 0.6, "ppo": 0.5}
    runs = [
        made_run("near", method, seed, level - 0.01 * seed, taught=method != "ppo", transfer={FAR: elsewhere(method)})
        for method, level in levels.items()
        for seed in range(5)
    ]
    return write_comparison(made_recipe(), runs, tmp_path / "report.html", "cotutor compare <made>")


def test_it_answers_first_and_names_stay_text(page) -> None:
    html = Page(page.read_text())
    text = words(html.text)
    assert text.index("language model's own share? Of the area, +0.2") < text.index("Claims")
    assert f"on {FAR}, where nobody was trained, none is shown" in text
    assert f"success of the pair on {FAR}, where nobody was trained" in text[text.index("Claims") :]
    assert "Does <script>alert(1)</script> it help?" in text
    assert CONTROL in text
    assert "cotutor compare <made>" in text
    assert not any("<script" in json.dumps(figure) for figure in html.data["figures"])
    assert all(tag != "img" for tag, _ in html.tags)


def test_curves_have_bands_and_the_subject_is_on_top(page) -> None:
    figures = {figure["name"]: figure for figure in Page(page.read_text()).data["figures"]}
    assert list(figures) == ["frames-0", "seconds-0", "agreement-0", "trust-0", "gain-0", "end-0", "transfer-0"]
    traces = figures["frames-0"]["traces"]
    assert len(traces) == 9
    assert traces[-1]["name"] == "mutual (n=5)"
    low, high, middle = traces[-3:]
    assert all(a <= b <= c for a, b, c in zip(low["y"], middle["y"], high["y"], strict=True))
    assert len(figures["trust-0"]["traces"]) == 6


@needs_browser
@pytest.mark.parametrize("flags", [(), ("--blink-settings=preferredColorScheme=0",)], ids=["light", "dark"])
def test_every_plot_is_drawn_without_an_error(page, tmp_path, flags) -> None:
    dom, console = open_page(page, tmp_path / "profile", *flags)
    assert console == ""
    for name in ("frames", "seconds", "agreement", "trust", "gain"):
        assert 'class="js-line"' in dom.split(f'id="plot-{name}-0"')[1].split("<figcaption>")[0]
    for name in ("end", "transfer"):
        assert 'class="point"' in dom.split(f'id="plot-{name}-0"')[1].split("<figcaption>")[0]
    assert "<script>alert" not in dom


@needs_browser
def test_a_click_hides_a_method_in_all_curves_and_shows_it_again(page, tmp_path) -> None:
    noted = drive(
        page,
        tmp_path,
        "const lines = () => ['frames', 'seconds', 'agreement', 'trust', 'gain'].map((name) =>"
        " find(`plot-${name}-0`).querySelectorAll('.js-line').length);"
        "const control = page.querySelector('[data-kind=control]'); noted.all = lines();"
        "control.click(); noted.fewer = lines(); noted.pressed = control.getAttribute('aria-pressed');"
        "control.click(); noted.again = lines();"
        "page.querySelector('[data-show=rival]').click(); noted.rivals = lines();"
        "page.querySelector('[data-show=all]').click(); noted.back = lines();"
        "noted.wide = page.documentElement.scrollWidth <= page.documentElement.clientWidth;",
    )
    # a line has the two edges of its band beside it; ppo has no teacher
    assert noted["all"] == noted["again"] == noted["back"] == [9, 9, 6, 6, 6]
    assert noted["fewer"] == [6, 6, 3, 3, 3]
    assert noted["rivals"] == [6, 6, 3, 3, 3]
    assert noted["pressed"] == "false"
    assert noted["wide"]


def test_of_many_methods_the_subject_and_its_controls_are_shown_first(tmp_path) -> None:
    methods = "\n".join(f"  m{i}: {{method: mutual}}" for i in range(10))
    text = f"about: many\nsubject: m3\nmethods:\n{methods}\ncontrols: [m1]\ntasks: {{a: }}\n"
    runs = [made_run("a", f"m{i}", seed, 0.5) for i in range(10) for seed in range(2)]
    html = Page(write_comparison(parse_recipe("many", text), runs, tmp_path / "report.html", "x").read_text())
    figures = {figure["name"]: figure for figure in html.data["figures"]}
    assert {trace["legendgroup"] for trace in figures["frames-0"]["traces"] if trace["visible"]} == {"1", "3"}
    pressed = {entry["data-method"]: entry["aria-pressed"] for _, entry in html.tags if "data-method" in entry}
    assert {key for key, state in pressed.items() if state == "true"} == {"1", "3"}


@pytest.mark.slow
def test_ten_methods_with_ten_seeds_stay_below_15_mb(tmp_path) -> None:
    methods = "\n".join(f"  m{i}: {{method: mutual}}" for i in range(10))
    recipe = parse_recipe(
        "large",
        f"about: is it small?\nsubject: m0\nmethods:\n{methods}\ncontrols: [m1]\ntasks: {{a: , b: , c: }}\n",
    )
    runs = [made_run(t, f"m{i}", seed, 0.5, rounds=256) for t in "abc" for i in range(10) for seed in range(10)]
    assert write_comparison(recipe, runs, tmp_path / "report.html", "x").stat().st_size < 15e6
