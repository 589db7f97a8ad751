"""The prior in the policy: exact, in rollout and training alike, and absent where it is zero."""

import numpy as np
import pytest

from cotutor.config import PPOConfig, TrainConfig
from cotutor.students.guidance import GuidedVecEnv
from cotutor.students.policies import GuidedPolicy
from cotutor.students.ppo import make_envs, make_ppo
from cotutor.tasks import make_task

CONFIG = TrainConfig(ppo=PPOConfig(envs=4, steps=16, batch_size=32, epochs=2))
TASK = make_task("babyai:GoToRedBallNoDists")
ACTIONS = len(TASK.actions)


class Constant:
    """Advises one action everywhere."""

    def __init__(self, trust: float, on_probation: bool = False, unrewarded: bool = False) -> None:
        self.trust, self.on_probation, self.unrewarded = trust, on_probation, unrewarded
        self.log_advice_A = np.log(np.eye(ACTIONS)[2] * 0.9 + 0.01)

    def read(self, contexts):
        return contexts

    def ask_at_once(self, contexts):
        pass

    def guide(self, contexts, envs):
        return np.tile(self.log_advice_A, (len(contexts), 1)), np.full(len(contexts), self.trust)


def guided(trust: float, trial_every: int = 0, on_probation: bool = False, unrewarded: bool = False, **every: int):
    envs = make_envs(TASK, "text", CONFIG.ppo.envs)
    guide = GuidedVecEnv(envs, Constant(trust, on_probation, unrewarded), trial_every, seed=0, **every)
    return guide, make_ppo(guide, CONFIG, GuidedPolicy)


@pytest.mark.parametrize("on_probation", [False, True])
def test_the_trial_is_one_step_in_so_many_and_has_the_other_arm(on_probation):
    guide, model = guided(trust=1.0, trial_every=4, on_probation=on_probation)
    model.learn(4 * 64 * 16)
    steps = guide.steps
    trial = np.concatenate([step.trial_E for step in steps])
    weight = np.concatenate([step.weight_E for step in steps])
    assert ((weight > 0) == (trial == on_probation)).all()
    assert 0.15 < np.mean(trial) < 0.35


@pytest.mark.parametrize("on_probation", [False, True])
def test_episodes_of_the_trial_that_last_longer_are_rarer(on_probation):
    guide, _ = guided(trust=1.0, trial_every=4, on_probation=on_probation)
    guide.lengths = {on_probation: 40.0, not on_probation: 5.0}
    guide.reset()
    (tried,) = {float(chance) if on_probation else 1 - float(chance) for chance in guide.chance_E}
    assert 40 * tried / (40 * tried + 5 * (1 - tried)) == pytest.approx(1 / 4)


@pytest.mark.parametrize("on_probation", [False, True])
def test_on_probation_there_can_be_more_of_it(on_probation):
    guide, _ = guided(trust=1.0, trial_every=1000, on_probation=on_probation, probation_every=1)
    guide.reset()
    assert (guide.trial_E == on_probation).all()
    assert guide.with_prior_E.all()


@pytest.mark.parametrize("unrewarded", [False, True])
def test_until_the_first_reward_there_can_be_more_of_it_still(unrewarded):
    guide, _ = guided(1.0, 1000, True, unrewarded, probation_every=1000, unrewarded_every=1)
    guide.reset()
    assert (guide.trial_E == unrewarded).all()
    assert (guide.with_prior_E == unrewarded).all()
