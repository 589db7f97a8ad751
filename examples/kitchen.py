"""An environment of one's own, put into words: a kitchen where common sense knows what comes next.

``cotutor check-task examples/kitchen.py:Kitchen`` shows what the teacher reads, and
``cotutor train --task examples/kitchen.py:Kitchen`` learns it.
"""

import gymnasium as gym
import numpy as np

import cotutor

DISHES = {
    "make a cup of tea": (
        ("fill the kettle with water", "The kettle is empty."),
        ("switch on the kettle", "There is cold water in the kettle."),
        ("pour the boiling water into the cup", "The water in the kettle is boiling."),
        ("hang a tea bag into the cup", "There is hot water in the cup."),
    ),
    "make buttered toast": (
        ("take the bread out of the bag", "The bread is in the bag."),
        ("put the bread into the toaster", "The bread is on the table."),
        ("switch on the toaster", "There is bread in the toaster."),
        ("spread butter on the toast", "There is hot toast in the toaster."),
    ),
    "boil an egg": (
        ("fill the pot with water", "The pot is empty."),
        ("put the pot on the stove", "There is cold water in the pot."),
        ("put the egg into the pot", "The water in the pot is boiling."),
        ("take the egg out of the pot", "There is a boiled egg in the pot."),
    ),
    "make a salad": (
        ("wash the lettuce", "The lettuce is dirty."),
        ("cut the lettuce", "The lettuce is clean."),
        ("put the lettuce into the bowl", "The lettuce is cut."),
        ("pour the dressing over the lettuce", "The lettuce is in the bowl."),
    ),
    "clean the plates": (
        ("put the plates into the dishwasher", "The dirty plates are in the sink."),
        ("add soap to the dishwasher", "There are dirty plates in the dishwasher."),
        ("switch on the dishwasher", "There are dirty plates and soap in the dishwasher."),
        ("take the plates out of the dishwasher", "There are clean plates in the dishwasher."),
    ),
}
"""For every dish its steps in order: what is to be done, and how things are before."""
MISSIONS, STEPS = tuple(DISHES), 4


class KitchenEnv(gym.Env):
    """Observes the dish wanted and how far it is; an action is a step of a dish, and does nothing out of order."""

    observation_space = gym.spaces.MultiDiscrete([len(DISHES), STEPS + 1])
    action_space = gym.spaces.Discrete(len(DISHES) * STEPS)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.wanted, self.done = int(self.np_random.integers(len(DISHES))), 0
        return self._observe(), {}

    def step(self, action):
        self.done += int(action) == self.wanted * STEPS + self.done
        ready = self.done == STEPS
        return self._observe(), float(ready), ready, False, {}

    def _observe(self):
        return np.array([self.wanted, self.done])


class Kitchen(cotutor.Task):
    actions = tuple(todo for steps in DISHES.values() for todo, _ in steps)
    has_expert = True

    def make_env(self):
        return gym.wrappers.TimeLimit(KitchenEnv(), 12)

    def instruction(self, observation):
        return MISSIONS[observation[0]]

    def describe(self, observation):
        wanted, done = observation
        state = [*DISHES.values()][wanted][done][1] if done < STEPS else "It is ready."
        return f"Mission: {MISSIONS[wanted]}. {state}"

    def expert_action(self, env):
        kitchen = env.unwrapped
        return kitchen.wanted * STEPS + kitchen.done

    def right_actions(self, env, actions):
        return frozenset({self.expert_action(env)} & set(actions))
