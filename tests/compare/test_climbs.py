"""Climbs compared, on runs made by hand."""

from dataclasses import replace
from math import inf

import pytest

from cotutor.climb import Ladder, Rung
from cotutor.compare.climbs import Climbs, claims, gather, leads, markdown, tables, verdict
from cotutor.compare.kept import KeptRun

from .made import made_run

EASY, HARD = Rung("easy", 100, 0.9), Rung("hard|er", 100, 0.8)
LADDER = Ladder(
    "made", "Does <script>alert(1)</script> it help?", {}, {"mutual": {}, "chance": {"teacher": "random"}, "ppo": {}},
    (EASY, HARD, Rung("beyond", 100, 0.8)),
)  # fmt: skip


def a_try(method: str, seed: int, place: int, rung: Rung, success: float, frames_to: int | None = None) -> KeptRun:
    """A run of a rung: ten rounds of 1,024 frames, two seconds and 0.002 seconds a frame."""
    run = made_run(f"{place:02}-x", method, seed, success, frames_to={"0.9": frames_to}, taught=method != "ppo")
    transfer = {"hard|er": {"pair": 0.25, "teacher": 0.5}} if rung == EASY and method != "ppo" else {}
    return replace(run, summary=replace(run.summary, task=rung.task, transfer=transfer))


def made_climbs(seeds: int = 5) -> Climbs:
    """``mutual`` masters both rungs, the hard one in two tries; ``chance`` and ``ppo`` stop at one."""
    runs = []
    for seed in range(seeds):
        runs += [
            a_try("mutual", seed, 1, EASY, 0.95, 2048 + seed),
            a_try("mutual", seed, 2, HARD, 0.5),
            a_try("mutual", seed, 3, HARD, 0.85, 1024),
            a_try("ppo", seed, 1, EASY, 0.9, 4096 if seed else None),
            a_try("ppo", seed, 2, HARD, 0.1),
            a_try("chance", seed, 1, EASY, 0.6),
        ]
    return gather(LADDER, runs[::-1])


def test_climbs_are_put_together_from_runs_in_any_order():
    climbs = made_climbs()
    assert list(climbs) == ["mutual", "chance", "ppo"]
    first = climbs["mutual"][0]
    assert (first.seed, [run.task for run in first.runs]) == (0, ["01-x", "02-x", "03-x"])
    assert [climb.count(LADDER) for climb in climbs["mutual"]] == [2] * 5
    assert [climb.count(LADDER) for climb in climbs["ppo"]] == [1] * 5
    assert [climb.count(LADDER) for climb in climbs["chance"]] == [0] * 5


def test_what_a_rung_took_counts_all_its_tries_and_is_infinite_where_nobody_came():
    mutual, ppo = (made_climbs()[method][0] for method in ("mutual", "ppo"))
    assert mutual.frames_to(EASY) == 2048
    assert mutual.frames_to(HARD) == 10 * 1024 + 1024
    assert mutual.seconds_to(HARD) == 2 * 10 * 1.024 + 2 * 1.024
    assert ppo.frames_to(EASY) == ppo.frames_to(LADDER.rungs[2]) == inf
    assert mutual.stairs(LADDER) == [(0, 0), (10240, 1), (20480, 1), (30720, 2)]


def test_what_could_be_done_before_a_rung_was_trained_is_known_of_those_who_tried_it():
    climbs = made_climbs()
    assert climbs["mutual"][0].before(HARD, "teacher") == 0.5
    assert climbs["chance"][0].before(HARD, "pair") is None
    assert climbs["ppo"][0].before(HARD, "pair") is None


def test_the_subject_is_the_first_method_and_few_climbs_make_no_claim():
    assert [(claim.other, claim.verdict) for claim in claims(LADDER, made_climbs())] == [
        ("chance", "ahead"),
        ("ppo", "ahead"),
    ]
    assert {claim.verdict for claim in claims(LADDER, made_climbs(4))} == {"too few runs"}
    without = {method: mine for method, mine in made_climbs().items() if method != "mutual"}
    assert claims(LADDER, without) == []
    assert verdict(LADDER, without) == "Nothing can be said yet: mutual has no climbs."


def test_a_lead_counts_who_never_got_there_with_all_that_the_rung_allows():
    roomy = Rung("easy", 8192, 0.9), Rung("hard|er", 20480, 0.8), LADDER.rungs[2]
    found = leads(replace(LADDER, rungs=roomy), made_climbs())
    assert [*found] == ["easy", "hard|er"]
    to_chance, to_ppo = found["easy"]
    assert to_chance.difference.value == pytest.approx((8192 - 2050) / 1000)
    assert to_ppo.difference.value == pytest.approx((4096 - 2050) / 1000)
    assert (to_chance.verdict, to_ppo.verdict) == ("ahead", "ahead")
    assert [claim.difference.value for claim in found["hard|er"]] == pytest.approx([(20480 - 11264) / 1000] * 2)
    assert leads(LADDER, {"ppo": made_climbs()["ppo"]}) == {}


def test_the_tables_say_how_many_tried_and_how_many_got_there():
    found = tables(LADDER, made_climbs())
    assert found["Mastered"][1] == [["easy", "5/5", "0/5", "5/5"], ["hard|er", "5/5", "not reached", "0/5"]]
    assert found["Frames to 90%"][1][0] == ["easy", "2,050 (5/5)", "never (0/5)", "4,096 (4/5)"]
    assert found["Frames to 90%"][1][1] == ["hard|er", "11,264 (5/5)", "never (0/5)", "never (0/5)"]
    teacher = found["Teacher alone: untaught → when the rung was next → after it"][1]
    assert teacher[1] == ["hard|er", "0.20 → 0.50 → 0.80", "–", "–"]
    assert found["Thousands of frames by which mutual is at 90% earlier"] == (
        ["", "chance", "ppo"],
        [["easy", *["+0 [+0, +0] no difference shown"] * 2], ["hard|er", *["+0 [+0, +0] no difference shown"] * 2]],
    ), "the rungs here allow a hundred frames"
    text = markdown(LADDER, made_climbs())
    assert "mutual mastered 2.00 [2.00, 2.00] of 3 rungs in 5 climbs." in text
    assert "| hard\\|er | 5/5 | not reached | 0/5 |" in text
