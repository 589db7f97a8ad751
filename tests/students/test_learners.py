"""What the loop reads of an algorithm, against what the algorithm did."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from sb3_contrib import ARS
from stable_baselines3.common.callbacks import BaseCallback

import cotutor
from cotutor.config import GuidanceConfig, PPOConfig, TrainConfig
from cotutor.errors import UserError
from cotutor.students.guidance import GuidedVecEnv
from cotutor.students.learners import flat, make_learner
from cotutor.students.policies import PRIOR
from tests.students.test_guidance import Constant
from tests.test_attach import STUDENTS, TASK, USEFUL, make_envs

ENVS = 4


def guide(trial_every: int = 3) -> GuidedVecEnv:
    return GuidedVecEnv(make_envs("text", ENVS), Constant(trust=1.0), trial_every, seed=0)


class Read(BaseCallback):
    """Reads every rollout as the loop does, and keeps of the last what is asked of it."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config = config
        self.collected = 0
        self.log: list[tuple] = []
        self.finished = None

    def _init_callback(self) -> None:
        self.learner = make_learner(self.model, self.config)

    def _on_step(self) -> bool:
        self.collected += 1
        told = [self.locals[name] for name in ("rewards", "dones", "new_obs", "infos")]
        self.log.append((self.model._last_obs, *copy.deepcopy(told)))
        return True

    def _on_rollout_end(self) -> None:
        finished = self.learner.finished(self.collected)
        if finished is not None:
            self.finished, self.collected = finished, 0
            rows = np.arange(finished.buffer_size * ENVS)
            self.prior_NA = prior_NA = flat(finished.observations[PRIOR])
            chance_N = np.ones(len(rows))
            self.free_NA, self.with_prior_NA, self.acted_NA = self.learner.policies(finished, rows, prior_NA, chance_N)
            self.actions = flat(finished.actions).reshape(-1).astype(int)
            self.log_probs = flat(finished.log_probs)


@pytest.mark.parametrize("name", ["PPO", "A2C", "MaskablePPO", "RecurrentPPO"])
def test_what_acted_is_what_the_algorithm_says_acted(name):
    student = STUDENTS[name]
    read = Read(TrainConfig())
    student.make(student.guided, guide()).learn(16 * ENVS * 4, callback=read)
    steps = np.arange(len(read.actions))
    assert read.acted_NA[steps, read.actions] == pytest.approx(np.exp(read.log_probs), abs=1e-5)
    assert read.with_prior_NA == pytest.approx(read.acted_NA, abs=1e-6)
    prior_NA = read.prior_NA
    assert (prior_NA == 0.0).all(axis=1).any() and (prior_NA != 0.0).any(axis=1).any()
    ratio_NA = np.log(read.acted_NA[:, USEFUL] / read.free_NA[:, USEFUL]) - prior_NA[:, USEFUL]
    assert ratio_NA == pytest.approx(np.repeat(ratio_NA[:, :1], 3, axis=1), abs=1e-4)
    assert (read.acted_NA[:, ~USEFUL] == 0.0).all() == (name == "MaskablePPO")


def values_of(student, **changes):
    return dataclasses.replace(student, settings={**student.settings, **changes})


@pytest.mark.parametrize("name", ["DQN", "QRDQN"])
def test_a_value_learner_is_read_like_a_rollout(name):
    """GAE against a sum over the steps that were seen to happen; the replay buffer has been overwritten."""
    never = {"gradient_steps": 0, "exploration_initial_eps": 0.0, "exploration_final_eps": 0.0}
    student = values_of(STUDENTS[name], learning_starts=0, buffer_size=ENVS * 60, **never)
    config = TrainConfig(ppo=PPOConfig(steps=40, gae_lambda=0.9))
    read = Read(config)
    model = student.make(student.guided, guide())
    model.learn(80 * ENVS, callback=read)
    seen = read.log[-40:]
    values = lambda obs: model.policy.values({k: torch.as_tensor(v) for k, v in obs.items()}).amax(1).detach().numpy()  # noqa: E731
    advantage_E, expected = np.zeros(ENVS), []
    for before, rewards, dones, after, infos in reversed(seen):
        following_E = values(after)
        for i in np.flatnonzero(dones):
            last = {k: v[None] for k, v in infos[i]["terminal_observation"].items()}
            following_E[i] = values(last)[0] if infos[i]["TimeLimit.truncated"] else 0.0
        delta_E = rewards + model.gamma * following_E - values(before)
        advantage_E = delta_E + model.gamma * 0.9 * (1 - dones) * advantage_E
        expected.append(advantage_E)
    cut = [info["TimeLimit.truncated"] for *_, infos in seen[:-1] for info in infos]
    assert any(cut)
    assert read.finished.advantages == pytest.approx(np.array(expected[::-1]), abs=1e-4)
    greedy_N = read.acted_NA.argmax(axis=1)
    assert (read.actions == greedy_N).all()
    assert read.acted_NA.max(axis=1) == pytest.approx(0.99 + 0.01 / 7)
    model.exploration_rate = 0.3
    rows = np.arange(8)
    free_NA, with_prior_NA, mixed_NA = read.learner.policies(read.finished, rows, read.prior_NA[:8], np.full(8, 0.25))
    assert with_prior_NA.max(axis=1) == pytest.approx(0.7 + 0.3 / 7)
    assert mixed_NA == pytest.approx(0.75 * free_NA + 0.25 * with_prior_NA)
    advised_N = (read.prior_NA != 0).any(axis=1)
    assert (read.free_NA[~advised_N] == read.acted_NA[~advised_N]).all()


@pytest.mark.parametrize("name", ["PPO", "DQN", "QRDQN"])
def test_what_the_loop_reads_belongs_together_also_when_a_model_learns_again(name):
    student = STUDENTS[name]
    config = TrainConfig(teacher="bow", method="realtime", ppo=PPOConfig(steps=16))
    envs, loop = cotutor.attach(make_envs("text", ENVS), TASK, config)
    rollouts, read = [], loop.read_rollout
    loop.read_rollout = lambda finished: rollouts.append(read(finished)) or rollouts[-1]
    model = student.make(student.guided, envs)
    for _ in range(2):
        model.learn(16 * ENVS * 3 + ENVS, callback=loop)
    assert len(rollouts) >= 6
    words = envs.plain.envs[0].get_wrapper_attr("words")
    for rollout in rollouts:
        assert len(rollout.contexts) == len(rollout.rewards_N) == len(rollout.actions_N) == 16 * ENVS
        encoded = np.stack([words.encode(context) for context in rollout.contexts])
        assert np.array_equal(encoded, rollout.observations["context"])
        weighted = rollout.observations[PRIOR].any(axis=1)
        assert (rollout.log_advice_NA[weighted] != 0).any(axis=1).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ARS("LinearPolicy", "CartPole-v1"), "ARS cannot be taught"),
        (lambda: STUDENTS["DQN"].make("MultiInputPolicy", guide()), "GuidedDQNPolicy"),
        (
            lambda: values_of(STUDENTS["DQN"], buffer_size=200).make(cotutor.GuidedDQNPolicy, guide()),
            "260 at least",
        ),
    ],
)
def test_what_cannot_be_taught_is_refused_in_a_sentence(make, message):
    with pytest.raises(UserError, match=message):
        make_learner(make(), TrainConfig())


def test_a_method_without_the_prior_needs_a_policy_to_distil_into():
    config = TrainConfig(guidance=GuidanceConfig(prior=False))
    for name in ("DQN", "RecurrentPPO"):
        student = STUDENTS[name]
        with pytest.raises(UserError, match="only be taught by a prior"):
            make_learner(student.make(student.guided, guide()), config)
