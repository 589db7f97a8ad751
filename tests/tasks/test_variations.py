"""Variations of levels: other words, larger rooms, the same mission."""

import pytest

from cotutor.errors import UserError
from cotutor.tasks import make_task
from cotutor.tasks.base import SpokenEnv
from cotutor.tasks.variations import LARGE


def test_synonyms_change_the_words_and_nothing_else():
    plain, reworded = (make_task(f"balrog:PickUpThenGoTo{suffix}").make_env() for suffix in ("", "+synonyms"))
    for seed in range(6):
        (told, _), (retold, _) = plain.reset(seed=seed), reworded.reset(seed=seed)
        assert retold["mission"] == told["mission"].replace("go to", "walk to").replace("pick up", "fetch")
        assert (retold["image"] == told["image"]).all()
    assert reworded.step(2)[0]["mission"].count("fetch") == 1


def test_what_a_reworded_mission_needs_is_still_offered():
    env = SpokenEnv(make_task("babyai:PutNextLocal+synonyms"), "text")
    phrases = {option.phrase for option in env.task.options(env.reset(seed=0)[1]["context"])}
    assert {"pick up", "drop"} <= phrases


def test_rooms_are_larger_and_observed_alike():
    plain, large = make_task("babyai:PutNextLocal"), make_task("babyai:PutNextLocal+large+synonyms")
    env = large.make_env()
    env.reset(seed=0)
    assert env.unwrapped.width == LARGE
    assert SpokenEnv(plain, "text").observation_space == SpokenEnv(large, "text").observation_space


@pytest.mark.parametrize(
    ("name", "message"),
    [("babyai:GoToLocal+nonsense", "no variation 'nonsense'"), ("babyai:UnlockPickup+large", "leave out .large")],
)
def test_what_cannot_be_varied_is_refused(name: str, message: str):
    with pytest.raises(UserError, match=message):
        make_task(name)
