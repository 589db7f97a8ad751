from dataclasses import replace

import pytest

from cotutor.compare.kept import KeptRun
from cotutor.compare.table import COLUMNS, answer, gather, headline, markdown, transfer_table
from tests.compare.made import made_recipe, made_run

CONTROL = "mutual, <script>alert(2)</script>"


def runs(mutual: float, control: float, ppo: float, n: int = 5):
    levels = {"mutual": mutual, CONTROL: control, "ppo": ppo}
    return [
        made_run("near", method, seed, level - 0.01 * seed, taught=method != "ppo")
        for method, level in levels.items()
        for seed in range(n)
    ]


@pytest.mark.parametrize(
    ("mutual", "control", "n", "said"),
    [
        (0.9, 0.5, 5, "is ahead of every control; the least of these gaps is the language model's own share: +0.40"),
        (0.7, 0.7, 5, "mutual is ahead of no control: no share of language is shown."),
        (0.5, 0.9, 5, "no share of language is shown. It is behind"),
        (0.9, 0.5, 4, "too few runs (fewer than 5)"),
    ],
)
def test_the_answer_claims_what_the_runs_show(mutual: float, control: float, n: int, said: str) -> None:
    (results,) = gather(made_recipe(), runs(mutual, control, 0.3, n))
    assert said in answer(results)


def test_without_runs_of_controls_nothing_is_said() -> None:
    (results,) = gather(made_recipe(), [made_run("near", "mutual", 0)])
    assert "cannot be said yet" in answer(results)


def test_where_no_controls_are_named_the_question_is_not_asked() -> None:
    (results,) = gather(made_recipe(), [made_run("near", "mutual", 0)])
    assert answer(replace(results, task=replace(results.task, controls=()))).startswith("Not asked")


@pytest.mark.parametrize(
    ("control", "seeds", "said"),
    [
        (0.6, 5, "Of the area, +0.23 [+0.21, +0.25]; of the success at the end, +0.30 ["),
        (0.9, 5, f"Of the area, none is shown (not ahead of “{CONTROL}”); of the success at the end, none is shown ("),
        (0.6, 3, "Of the area, not known yet; of the success at the end, not known yet."),
    ],
)
def test_the_headline_says_whether_a_share_is_shown(control, seeds, said) -> None:
    runs = [
        made_run("near", name, seed, level - 0.01 * seed)
        for name, level in (("mutual", 0.9), (CONTROL, control))
        for seed in range(seeds)
    ]
    assert headline(gather(made_recipe(), runs)[0]).startswith(said)


def test_the_headline_counts_the_end_where_the_area_is_no_different() -> None:
    late = [replace(run, summary=replace(run.summary, pair_success=0.2)) for run in runs_of(CONTROL)]
    said = headline(gather(made_recipe(), [*runs_of("mutual"), *late])[0])
    assert said.startswith(f"Of the area, none is shown (not ahead of “{CONTROL}”); of the success at the end, +0.")


def runs_of(method: str) -> list[KeptRun]:
    return [made_run("near", method, seed, 0.9 - 0.01 * seed) for seed in range(5)]


def test_a_headline_without_runs_of_controls() -> None:
    assert headline(gather(made_recipe(), runs_of("mutual"))[0]).startswith("Not known yet")


def test_the_tables_say_n_and_hold_every_method() -> None:
    text = markdown(made_recipe(), runs(0.9, 0.5, 0.3)[:-2], "cotutor compare made")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert any(line.startswith("| ppo | 3 |") for line in lines)
    assert any(line.startswith("| mutual | 5 |") and "never (0/5)" in line for line in lines)
    assert any(line.startswith("| ppo | +0.") and "too few runs" in line for line in lines)
    assert len({line.count("|") for line in lines if "±" in line}) <= 1
    assert "Made by `cotutor compare made`" in text


def test_tasks_that_nobody_was_trained_on_have_a_table_of_their_own() -> None:
    taught = [
        made_run("near", "mutual", seed, transfer={"far": {"pair": 0.5 + seed / 10, "student": 0.2, "teacher": 0.7}})
        for seed in range(3)
    ]
    both = {"pair": 0.6, "student": 0.2, "teacher": 0.7, "untaught": 0.3}
    taught[0] = made_run("near", "mutual", 0, transfer={"far": both})
    alone = made_run("near", "ppo", 0, taught=False, transfer={"far": {"pair": 0.4, "student": 0.4}})
    head, rows = transfer_table(gather(made_recipe(), [*taught, made_run("near", "mutual", 3), alone])[0])
    assert head == ["method", "who acts", "n", "its own task", "far"]
    assert [row[:3] for row in rows] == [
        ["mutual", "pair", "3"],
        ["mutual", "student alone", "3"],
        ["mutual", "teacher alone", "3"],
        ["mutual", "teacher alone, untaught", "1"],
        ["ppo", "student alone", "1"],
    ]
    assert [row[-1].split()[0] for row in rows] == ["0.63", "0.20", "0.70", "0.30", "0.40"]
    assert rows[0][3].startswith("0.90")
    assert "| mutual | pair | 3 |" in markdown(made_recipe(), taught, "cotutor compare made")
    assert "nobody" not in markdown(made_recipe(), runs(0.9, 0.5, 0.3), "cotutor compare made")


def test_claims_are_made_of_tasks_that_nobody_was_trained_on_too() -> None:
    def measured(method: str, far: float, farther: float) -> list[KeptRun]:
        return [
            made_run("near", method, seed, transfer={"far": {"pair": far + seed / 100}, "farther": {"pair": farther}})
            for seed in range(5)
        ]

    rival = [made_run("near", "ppo", seed, taught=False, transfer={"farther": {"pair": 0.1}}) for seed in range(5)]
    kept = [*measured("mutual", 0.8, 0.5), *measured(CONTROL, 0.3, 0.5), *rival]
    (results,) = gather(made_recipe(), kept)
    assert [(claim.other, claim.verdict) for claim in results.claims("far")] == [(CONTROL, "ahead")]
    assert "; on far, where nobody was trained, +0.50 [+0.48, +0.52]; on farther, where nobody" in headline(results)
    lines = markdown(made_recipe(), kept, "cotutor compare made").splitlines()
    (row,) = [line for line in lines if line.startswith(f"| {CONTROL} | +0.50")]
    assert row.endswith("ahead | +0.00 [+0.00, +0.00] no difference shown |")
    assert any(line.startswith("| ppo | – | +0.40") for line in lines)


def test_nothing_is_said_of_the_share_where_a_control_was_not_measured() -> None:
    far = {"far": {"pair": 0.9, "student": 0.9}}
    kept = [made_run("near", method, seed, transfer=far) for method in ("mutual", "ppo") for seed in range(5)]
    (results,) = gather(made_recipe(), [*kept, *(made_run("near", CONTROL, seed) for seed in range(5))])
    assert results.transfers == ["far"]
    assert results.compared_transfers == []
    assert "far" not in headline(results)


def test_seconds_are_those_of_the_device_that_most_runs_had() -> None:
    def on_a_gpu(run: KeptRun) -> KeptRun:
        return replace(run, summary=replace(run.summary, accelerator="NVIDIA H100", wall_seconds=1.0))

    slow = [made_run("near", "mutual", seed) for seed in range(3)]
    fast = [on_a_gpu(made_run("near", method, seed)) for method, seed in (("mutual", 3), ("ppo", 0))]
    (results,) = gather(made_recipe(), [*slow, *fast])
    assert COLUMNS["n"](results, "mutual") == "4"
    assert COLUMNS["seconds"](results, "mutual") == "20"
    assert [COLUMNS[name](results, "ppo") for name in ("seconds", "teacher's", "seconds to 90%")] == ["–"] * 3
    (others,) = gather(made_recipe(), fast)
    assert COLUMNS["seconds"](others, "mutual") == "1"


def test_runs_of_other_tasks_and_methods_are_left_out() -> None:
    (results,) = gather(made_recipe(), [*runs(0.9, 0.5, 0.3), made_run("far", "mutual", 0), made_run("near", "x", 0)])
    assert {method: len(found) for method, found in results.runs.items()} == {"mutual": 5, CONTROL: 5, "ppo": 5}
