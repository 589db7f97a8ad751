import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
import yaml
from synthetic import MUTUAL, PPO, write_run

from cotutor.config import TrainConfig
from cotutor.errors import UserError
from cotutor.report import verdict, write_report
from cotutor.report.document import duration
from cotutor.report.page import settings

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Reads a page and notes its tags, its text outside scripts, and its scripts and data; every tag must be closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.data: dict[str, Any] = {}
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
            name = self.tags[-1][1].get("id")
            if name is not None:
                self.data[name] = json.loads(data)
        elif not self.open or self.open[-1] != "style":
            self.text += data


def scripts(page: Page) -> list[tuple[str, dict[str, str | None]]]:
    return [(tag, attributes) for tag, attributes in page.tags if tag == "script"]


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def mutual(mutual_run):
    return Page(write_report(mutual_run).read_text())


def test_key_figures_and_verdict_are_there(mutual):
    text = words(mutual.text)
    assert "babyai:GoToLocal · mutual · smollm2 · seed 3" in text
    assert verdict(MUTUAL) in text
    for figure in ("98%", "89%", "12% → 61%", "44% → 81%", "at most 86%", "31,744", "64%", "2,391", "1,204 distinct"):
        assert figure in text
    (change,) = [row for row in mutual.data["changes-data"]["advice"] if "red ball is ahead" in row["context"]]
    assert change["trust"] == 0.88
    assert change["options"][0] == ["turn left", 0.21, 0.84, [31.4, 1.25]]


def test_text_of_others_stays_text(mutual):
    contexts = [row["context"] for row in mutual.data["changes-data"]["advice"]]
    (hostile,) = [context for context in contexts if "<script>alert(1)</script> Your mission" in context]
    assert "\\u001b[31mIt is\\u202e ahead on the left. </script>" in hostile
    assert not any("<script>alert" in script or "\x1b" in script for script in mutual.scripts)
    assert all(
        "<" not in script for script, (_, entry) in zip(mutual.scripts, scripts(mutual), strict=True) if "id" in entry
    )
    assert all(tag != "img" for tag, _ in mutual.tags)
    assert not any(name.startswith("on") for _, attributes in mutual.tags for name in attributes)


def test_hostile_names_stay_text(tmp_path):
    hostile = "x</title><script>alert(1)</script>"
    run = write_run(tmp_path / "run", replace(MUTUAL, task=hostile, teacher=hostile))
    page = Page(write_report(run).read_text())
    assert "alert(1)" not in "".join(page.scripts)
    assert page.text.count(hostile) >= 3


def test_nothing_is_loaded_from_elsewhere(mutual):
    loading = {"src", "href", "srcset", "data", "action", "poster"}
    assert not [attributes for _, attributes in mutual.tags if loading & attributes.keys()]
    policy = next(entry["content"] for tag, entry in mutual.tags if tag == "meta" and "http-equiv" in entry)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy


def test_figures_hold_the_ledger(mutual):
    figures = {figure["name"]: figure for figure in mutual.data["figures"]}
    assert list(figures) == ["learning", "trust", "gain", "asked", "seconds"]
    pair, trials, agreement, ceiling = figures["learning"]["traces"]
    assert len(pair["x"]) == len(pair["y"]) <= 600
    assert pair["y"][-1] > 0.9
    assert len(trials["x"]) > 0
    assert None not in agreement["y"]
    assert agreement["marker"]["size"] == [4, *[9] * 9]
    assert ceiling["y"] == [0.86, 0.86]
    assert figures["asked"]["traces"][0]["y"][0] == 0
    assert len(figures["seconds"]["traces"]) == 2


def test_ppo_has_no_teacher_part(ppo_run):
    html = write_report(ppo_run).read_text()
    page = Page(html)
    text = words(page.text)
    assert "babyai:GoToLocal · ppo · seed 3" in text
    assert [figure["name"] for figure in page.data["figures"]] == ["learning", "seconds"]
    assert len(page.data["figures"][0]["traces"]) == 1
    rest = text.replace("Without any teacher", "")
    for word in ("teacher", "Pair", "pair", "trust", "Trust", "advice", "asked", "None"):
        assert word not in rest


def test_a_run_without_bot_or_consultations(tmp_path):
    bare = replace(MUTUAL, bot_agreement_before=None, bot_agreement_after=None, agreement_ceiling=None)
    text = words(Page(write_report(write_run(tmp_path / "run", bare)).read_text()).text)
    assert "agrees with bot" not in text
    assert "None" not in text
    assert "In no context" in text


def test_a_very_short_run(tmp_path):
    run = write_run(tmp_path / "run", replace(PPO, rounds=0))
    assert Page(write_report(run).read_text()).data["figures"][0]["traces"][0]["x"] == []


def test_writing_again_replaces_the_page_and_leaves_nothing_else(ppo_run):
    first = write_report(ppo_run).read_bytes()
    assert write_report(ppo_run).read_bytes() == first
    assert sorted(path.name for path in ppo_run.iterdir()) == [
        "config.yaml",
        "ledger.sqlite",
        "report.html",
        "summary.json",
    ]


@pytest.mark.parametrize("missing", ["config.yaml", "ledger.sqlite", "summary.json"])
def test_a_missing_file_is_the_users_error(ppo_run, missing):
    (ppo_run / missing).unlink()
    with pytest.raises(UserError, match=re.escape(missing)):
        write_report(ppo_run)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"task": 1}'])
def test_a_broken_summary_is_the_users_error(ppo_run, content):
    (ppo_run / "summary.json").write_text(content)
    with pytest.raises(UserError, match="cannot be read"):
        write_report(ppo_run)


def test_settings_leave_out_the_folder(tmp_path):
    values = yaml.safe_load(settings(TrainConfig(run_dir=tmp_path, start=tmp_path), taught=True))
    assert not values.keys() & {"run_dir", "start"}
    assert values["trust"]["margin"] == TrainConfig().trust.margin
    assert yaml.safe_load(settings(TrainConfig(), taught=False)).keys() == {
        "task",
        "method",
        "student",
        "seed",
        "frames",
        "enough",
        "checkpoint_seconds",
        "ledger_rows",
        "rehearse",
        "rehearsal",
        "eval_episodes",
        "transfer",
        "replays",
        "threads",
        "ppo",
        "plans",
        "verbalizer",
    }


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (61, "1 min 1 s"), (3_660, "1 h 1 min")]
)
def test_duration(seconds, expected):
    assert duration(seconds) == expected
