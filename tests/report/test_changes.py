import pytest
from synthetic import consult

from cotutor.replays import Moment, Replay
from cotutor.report.changes import changed_advice, changed_choices
from cotutor.runs.ledger import Ledger
from cotutor.types import Option, Question


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger.sqlite", most=1000)


def test_first_before_last_after_and_the_richest_evidence(ledger, tmp_path):
    ledger.add_consultations(
        [
            consult("c", (0.2, 0.3, 0.5), (0.3, 0.3, 0.4), visits=(1, 1, 1), round_number=0, trust=0.1),
            consult("c", (0.4, 0.3, 0.3), (0.6, 0.2, 0.2), visits=(30, 6, 2), round_number=4, trust=0.2),
            consult("c", (0.7, 0.2, 0.1), (0.8, 0.1, 0.1), visits=(0, 0, 0), round_number=8, trust=0.7),
        ]
    )
    ledger.close()
    (change,) = changed_advice(tmp_path / "ledger.sqlite")
    assert [option.before for option in change.options] == [0.2, 0.3, 0.5]
    assert [option.after for option in change.options] == [0.8, 0.1, 0.1]
    assert [option.evidence[0] for option in change.options] == [30, 6, 2]
    assert change.options[0].phrase == "turn left"
    assert change.options[0].evidence[1] == 1.25
    assert (change.trust, change.times) == (0.7, 3)
    assert change.distance == pytest.approx(0.6)


def test_the_largest_first_and_what_did_not_change_left_out(ledger, tmp_path):
    def shifted(shift: float):
        return (0.5 - shift, 0.5 + shift, 0.0)

    shifts = [0.01 * i for i in range(1, 15)]
    ledger.add_consultations(consult(f"shift {i}", (0.5, 0.5, 0.0), shifted(shift)) for i, shift in enumerate(shifts))
    ledger.add_consultations([consult("unchanged", (0.5, 0.5, 0.0), (0.5, 0.5, 0.0), visits=(1e4, 1e4, 1e4))])
    ledger.close()
    found = [change.context for change in changed_advice(tmp_path / "ledger.sqlite")]
    assert found == [f"shift {i}" for i in range(13, -1, -1)]


def test_visits_weigh_mildly(ledger, tmp_path):
    ledger.add_consultations(
        [
            consult("often, a little", (0.5, 0.5, 0.0), (0.4, 0.6, 0.0), visits=(990, 5, 4)),
            consult("seldom, much", (1.0, 0.0, 0.0), (0.2, 0.8, 0.0), visits=(0, 0, 0)),
            consult("often, much", (1.0, 0.0, 0.0), (0.2, 0.8, 0.0), visits=(5, 3, 1)),
        ]
    )
    ledger.close()
    found = [change.context for change in changed_advice(tmp_path / "ledger.sqlite")]
    assert found == ["often, much", "seldom, much", "often, a little"]


def moment(context: str, free_A: tuple[float, ...], acted_A: tuple[float, ...]) -> Moment:
    question = Question(context, (Option("turn left", 0), Option("go forward", 2)))
    return Moment("", context, question, (0.5, 0.5), (0.9, 0.1), 0.8, free_A, acted_A, 0, 0.0)


def test_choices_that_the_advice_changed():
    kept = moment("kept", (0.6, 0.1, 0.3), (0.9, 0.0, 0.1))
    swayed = moment("swayed", (0.2, 0.2, 0.6), (0.7, 0.1, 0.2))
    again = moment("swayed", (0.4, 0.0, 0.6), (0.9, 0.1, 0.0))
    same = moment("swayed", (0.9, 0.0, 0.1), (0.9, 0.0, 0.1))
    replays = [
        Replay(0, ("a", "b", "c"), True, (kept, kept), ""),
        Replay(1, ("a", "b", "c"), True, (kept, swayed, again, same), ""),
    ]
    (change,) = changed_choices(replays)
    assert (change.context, change.where, change.times, change.visits) == ("swayed", (2, 2), 2, 3)
    assert [option.before for option in change.options] == pytest.approx([0.3, 0.6])
    assert [option.after for option in change.options] == pytest.approx([0.8, 0.1])
    assert [option.evidence for option in change.options] == [(0.9,), (0.1,)]
