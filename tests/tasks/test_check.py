"""What a verbalizer is worth."""

import pytest

from cotutor.errors import UserError
from cotutor.tasks import make_task
from cotutor.tasks.check import agreement_states, ceiling, check_task
from cotutor.tasks.toy_text import FrozenLake


def test_the_ceiling_is_the_best_single_action_of_each_context() -> None:
    left, right, both = frozenset({0}), frozenset({1}), frozenset({0, 1})
    assert ceiling([("a", left), ("a", left), ("a", right), ("b", right)]) == 0.75
    assert ceiling([("a", left), ("a", both), ("a", both)]) == 1
    assert ceiling([("a", left), ("a", right)]) == 0.5


def test_a_check_counts_contexts_and_knows_the_ceiling() -> None:
    found = check_task(make_task("babyai:GoToRedBallNoDists"), states=400, seed=1)
    assert found.states == 400
    assert found.contexts <= 12
    assert found.per_thousand == pytest.approx(found.contexts / 0.4)
    assert found.ceiling is not None and 0.8 < found.ceiling <= 1
    assert sum(count for _, count in found.examples) <= 400
    assert found == check_task(make_task("babyai:GoToRedBallNoDists"), states=400, seed=1)


def test_exact_places_make_more_contexts() -> None:
    coarse, exact = (check_task(make_task("babyai:GoToLocal", positions=p), 400) for p in ("coarse", "exact"))
    assert exact.contexts > 1.2 * coarse.contexts


def test_a_check_counts_what_chance_achieves() -> None:
    lake, cliff = (check_task(make_task(name), states=600) for name in ("toy:FrozenLake", "toy:CliffWalking"))
    assert 0 < lake.successes == lake.rewarded < lake.episodes
    assert (cliff.episodes, cliff.successes, cliff.rewarded) == (3, 0, 0)


def test_without_an_expert_there_is_no_ceiling() -> None:
    task = make_task("minigrid:DoorKey-5x5")
    assert check_task(task, states=50).ceiling is None
    with pytest.raises(UserError, match="no expert"):
        agreement_states(task, 10)


class Closed(FrozenLake):
    """Nothing is ever right."""

    def right_actions(self, env, actions):
        return frozenset()


def test_a_small_task_shows_all_its_states_and_an_expert_must_find_something_right() -> None:
    states = agreement_states(make_task("toy:FrozenLake"), 100)
    assert 5 < len(states) == len({context for context, _ in states}) < 16
    with pytest.raises(UserError, match="finds none of the options right"):
        agreement_states(Closed("toy:FrozenLake"), 4)
    with pytest.raises(UserError, match="finds none of the options right"):
        check_task(Closed("toy:FrozenLake"), 50)


def test_agreement_states_are_the_same_at_every_call_and_have_right_options() -> None:
    task = make_task("babyai:PickupLoc")
    states = agreement_states(task, 60)
    assert states == agreement_states(make_task("babyai:PickupLoc"), 60)
    assert len(states) == 60
    for context, right in states:
        assert right
        assert right <= {option.action for option in task.options(context)}
    assert states != agreement_states(task, 60, seed=5)
