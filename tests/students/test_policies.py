"""The prior in the policy: exact, in rollout and training alike, unseen by networks, and absent where it is zero."""

import numpy as np
import pytest
import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.callbacks import BaseCallback

import cotutor
from cotutor.errors import UserError
from cotutor.students.learners import flat
from cotutor.students.policies import PRIOR, as_tensors, policy_probabilities
from tests.students.test_guidance import guided
from tests.students.test_learners import ENVS, guide
from tests.test_attach import NETWORK, STUDENTS


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
        rows = as_tensors(self.model.policy, {name: flat(values) for name, values in buffer.observations.items()})
        actions = torch.as_tensor(buffer.actions.reshape(-1))
        _, log_prob, _ = self.model.policy.evaluate_actions(rows, actions)
        self.error = float((log_prob.detach() - torch.as_tensor(buffer.log_probs.reshape(-1))).abs().max())


def test_stored_log_probabilities_stay_true():
    _, model = guided(trust=1.0, trial_every=3)
    callback = FirstRatios()
    model.learn(64, callback=callback)
    assert callback.error < 1e-4


class FirstSequences(BaseCallback):
    """The same for a recurrent policy, which trains on padded sequences that begin in the midst of episodes."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.errors = []
        for batch in self.model.rollout_buffer.get(24):
            _, log_prob, _ = self.model.policy.evaluate_actions(
                batch.observations, batch.actions.long().flatten(), batch.lstm_states, batch.episode_starts
            )
            inside = batch.mask > 1e-8
            self.errors.append(float((log_prob - batch.old_log_prob)[inside].abs().max()))


def test_stored_log_probabilities_of_a_recurrent_policy_stay_true():
    network = {**NETWORK, "lstm_hidden_size": 16}
    callback = FirstSequences()
    model = RecurrentPPO(cotutor.GuidedRecurrentPolicy, guide(), n_steps=80, policy_kwargs=network, device="cpu")
    model.learn(80 * ENVS, callback=callback)
    assert len(callback.errors) == 14
    assert max(callback.errors) < 1e-4


SHARED = {"enable_critic_lstm": False, "shared_lstm": True}


@pytest.mark.parametrize("network", [{}, SHARED])
def test_what_a_recurrent_policy_remembers_does_not_depend_on_the_prior(network):
    envs = guide()
    model = RecurrentPPO(cotutor.GuidedRecurrentPolicy, envs, n_steps=8, policy_kwargs={**NETWORK, **network})
    model.learn(64)
    tensors = {name: torch.as_tensor(value) for name, value in envs.reset().items()}
    states, starts = model._last_lstm_states, torch.zeros(ENVS)
    told = {**tensors, PRIOR: torch.randn(ENVS, 7)}
    assert torch.equal(
        model.policy.predict_values(tensors, states.vf, starts), model.policy.predict_values(told, states.vf, starts)
    )
    silent, remembered = model.policy.get_distribution({**tensors, PRIOR: torch.zeros(ENVS, 7)}, states.pi, starts)
    expected = torch.log_softmax(silent.distribution.logits + told[PRIOR], dim=1)
    advised, remembered_too = model.policy.get_distribution(told, states.pi, starts)
    assert all(torch.equal(a, b) for a, b in zip(remembered, remembered_too, strict=True))
    assert advised.distribution.logits.detach().numpy() == pytest.approx(expected.detach().numpy(), abs=1e-5)


def test_a_critic_without_memory_is_refused():
    with pytest.raises(UserError, match="enable_critic_lstm"):
        RecurrentPPO(cotutor.GuidedRecurrentPolicy, guide(), policy_kwargs={**NETWORK, "enable_critic_lstm": False})


def test_the_values_of_a_guided_policy_do_not_see_the_prior_and_its_choice_does():
    student = STUDENTS["DQN"]
    envs = guide()
    policy = student.make(student.guided, envs).policy
    observations = {name: torch.as_tensor(values) for name, values in envs.reset().items()}
    values_EA = policy.values(observations)
    assert torch.equal(values_EA, policy.values({**observations, PRIOR: torch.zeros(ENVS, 7)}))
    policy.scale.fill_(0.5)
    for action in range(7):
        gap_E = (values_EA.amax(1) - values_EA[:, action]) / 0.5
        for more, chosen in ((0.1, True), (-0.1, False)):
            prior_EA = torch.zeros(ENVS, 7)
            prior_EA[:, action] = gap_E + more
            acting_E = policy._predict({**observations, PRIOR: prior_EA})
            best_E = values_EA.argmax(1) == action
            assert ((acting_E == action) | best_E).all() if chosen else ((acting_E != action) | best_E).all()
