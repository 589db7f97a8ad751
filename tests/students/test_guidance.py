"""The prior in the policy: exact, in rollout and training alike, and absent where it is zero."""

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

from cotutor.config import PPOConfig, TrainConfig
from cotutor.students.guidance import PRIOR, GuidedPolicy, GuidedVecEnv, policy_probabilities
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


def test_the_policy_is_the_free_policy_times_advice_to_the_power_of_trust():
    guide, model = guided(trust=0.5)
    observations = guide.reset()
    free = policy_probabilities(model.policy, {**observations, PRIOR: np.zeros_like(observations[PRIOR])})
    expected = free * np.exp(0.5 * guide.adviser.log_advice_A)
    expected /= expected.sum(axis=1, keepdims=True)
    assert policy_probabilities(model.policy, observations) == pytest.approx(expected, abs=1e-5)
    tensors = {name: torch.as_tensor(value) for name, value in observations.items()}
    actions = torch.zeros(len(free), dtype=torch.long)
    _, log_prob, _ = model.policy.evaluate_actions(tensors, actions)
    assert log_prob.exp().detach().numpy() == pytest.approx(expected[:, 0], abs=1e-5)


def test_the_critic_does_not_see_the_prior():
    guide, model = guided(trust=1.0)
    tensors = {name: torch.as_tensor(value) for name, value in guide.reset().items()}
    values = model.policy.predict_values(tensors)
    assert torch.equal(values, model.policy.predict_values({**tensors, PRIOR: torch.zeros_like(tensors[PRIOR])}))


class FirstRatios(BaseCallback):
    """Compares the stored log-probabilities with those that training computes before its first step."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        buffer = self.model.rollout_buffer
        flat = {k: torch.as_tensor(v.reshape(-1, *v.shape[2:])) for k, v in buffer.observations.items()}
        actions = torch.as_tensor(buffer.actions.reshape(-1))
        _, log_prob, _ = self.model.policy.evaluate_actions(flat, actions)
        self.error = float((log_prob.detach() - torch.as_tensor(buffer.log_probs.reshape(-1))).abs().max())


def test_stored_log_probabilities_stay_true():
    _, model = guided(trust=1.0, trial_every=3)
    callback = FirstRatios()
    model.learn(64, callback=callback)
    assert callback.error < 1e-4


@pytest.mark.parametrize("on_probation", [False, True])
def test_the_trial_is_one_episode_in_so_many_and_has_the_other_arm(on_probation):
    guide, model = guided(trust=1.0, trial_every=4, on_probation=on_probation)
    model.learn(4 * 64 * 4)
    steps = guide.steps
    trial = np.concatenate([step.trial_E for step in steps])
    weight = np.concatenate([step.weight_E for step in steps])
    assert ((weight > 0) == (trial == on_probation)).all()
    episodes = {}
    for step in steps:
        episodes.update(zip(step.episode_E.tolist(), step.trial_E.tolist(), strict=True))
    assert 0.1 < np.mean(list(episodes.values())) < 0.45


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
