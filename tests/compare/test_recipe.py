import pytest

from cotutor.compare.recipe import choose, load_recipe, parse_recipe
from cotutor.errors import UserError
from cotutor.shipped import shipped
from tests.compare.made import RECIPE, made_recipe


@pytest.mark.parametrize("name", shipped("recipe"))
def test_every_shipped_recipe_can_be_read_and_run(name: str) -> None:
    recipe = load_recipe(name)
    cells = recipe.cells()
    assert len({cell.name for cell in cells}) == len(cells)
    for task in recipe.tasks:
        assert task.subject in task.methods
        assert len(task.seeds) >= 5 or name == "quick"


def test_cells_come_seed_by_seed_and_later_layers_win() -> None:
    recipe = parse_recipe(
        "layers",
        """
        about: which setting wins?
        seeds: [3, 5]
        settings: {threads: 1, frames: 10, ppo: {steps: 16, envs: 4}}
        subject: a
        methods: {a: {method: ppo, frames: 30}, b: {method: ppo, ppo: {envs: 2}}}
        tasks: {one: {settings: {frames: 20}}, two: {methods: [b], subject: b, seeds: [5]}}
        """,
    )
    assert [(cell.seed, cell.task, cell.method) for cell in recipe.cells()] == [
        (3, "one", "a"), (3, "one", "b"), (5, "one", "a"), (5, "one", "b"), (5, "two", "b"),
    ]  # fmt: skip
    first, second = recipe.cells()[:2]
    assert (first.config.frames, first.config.seed, first.config.ppo.steps, first.config.ppo.envs) == (30, 3, 16, 4)
    assert (second.config.frames, second.config.ppo.steps, second.config.ppo.envs) == (20, 16, 2)


def test_a_recipe_may_be_like_another_but_for_what_it_says() -> None:
    (task,), (model,) = load_recipe("unlock").tasks, load_recipe("plans").tasks
    assert (task.subject, task.controls, task.seeds) == (model.subject, model.controls, model.seeds)
    assert task.methods.keys() == model.methods.keys()
    assert task.methods["mutual"] != model.methods["mutual"]
    with pytest.raises(UserError, match="no recipe nonsense"):
        parse_recipe("bad", "{like: nonsense}")


def test_a_recipe_may_be_like_one_that_is_like_another() -> None:
    generalise, plans = load_recipe("generalise"), load_recipe("plans")
    assert generalise.tasks[0].seeds == plans.tasks[0].seeds
    assert generalise.cells()[0].settings["student"] == "text"


def test_recipes_that_are_like_each_other_are_refused(tmp_path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(f"like: {two}")
    two.write_text(f"like: {one}")
    with pytest.raises(UserError, match="one is to be like itself"):
        load_recipe(str(one))


def test_a_part_can_be_chosen() -> None:
    part = choose(made_recipe(), ["near"], ["ppo"], [7])
    assert [(cell.method, cell.seed) for cell in part.cells()] == [("ppo", 7)]
    with pytest.raises(UserError, match="no task 'far'"):
        choose(made_recipe(), ["far"], [], [])
    with pytest.raises(UserError, match="no method 'nobody'"):
        choose(made_recipe(), [], ["nobody"], [])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("subject: mutual", "subject: nobody", "no method of that name"),
        ("subject: mutual", "topic: mutual", "unknown key topic"),
        ("about:", "x:", "unknown key x"),
        ("subject: mutual", "", "has no subject"),
        ("{method: ppo}", "{method: pppo}", "There is no method 'pppo'"),
        ("{method: ppo}", "{metod: ppo}", "unknown key metod"),
        ("{method: ppo}", "{method: ppo, frames: -1}", "must be at least 1"),
        ("{method: ppo}", "[ppo]", "mapping of names to values at methods.ppo"),
        ("tasks:", "tasks: 3\nrest:", "unknown key rest"),
        ("subject: mutual", "subject: [", "is not YAML"),
    ],
)
def test_a_mistake_is_one_sentence(old: str, new: str, said: str) -> None:
    with pytest.raises(UserError, match="recipe made") as caught:
        made_recipe(RECIPE.replace(old, new, 1))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_there_is_no_such_recipe(tmp_path) -> None:
    with pytest.raises(UserError, match="There is no recipe"):
        load_recipe(str(tmp_path / "nothing.yaml"))
