"""The language policy against independent forward passes; a tiny random model that learns; a whole run."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from rich.console import Console
from stable_baselines3 import PPO
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from cotutor.config import LanguagePolicyConfig, TrainConfig
from cotutor.embedded import embedded_model
from cotutor.errors import UserError
from cotutor.evaluation import run_episodes
from cotutor.hardware import choose_device
from cotutor.inspect import evaluate_run, load
from cotutor.report import write_report
from cotutor.rivals.language_policy import (
    NUMBER,
    ContextVecEnv,
    LanguagePolicy,
    LanguageRounds,
    language_actor,
    make_language_ppo,
)
from cotutor.runs.ledger import read
from cotutor.students.ppo import make_envs
from cotutor.tasks import make_task
from cotutor.tasks.words import Words
from cotutor.train import train

DEVICE = choose_device()
SMALL = TrainConfig(
    method="llm-policy",
    student="image",
    dtype="float32",
    threads=1,
    llm_policy=LanguagePolicyConfig(envs=8, steps=8, batch_size=16, reward_scale=1.0),
)
CONTEXTS = ["the lamp is red", "the lamp is blue"]


def make(task, teacher, **changes) -> PPO:
    config = dataclasses.replace(SMALL, teacher=str(teacher), **changes)
    return make_language_ppo(task, make_envs(task, "image", config.llm_policy.envs), config)


def policy_of(model: PPO) -> LanguagePolicy:
    assert isinstance(model.policy, LanguagePolicy)
    model.policy.texts[:] = CONTEXTS
    return model.policy


def numbered(*numbers: int) -> dict[str, Tensor]:
    return {NUMBER: torch.tensor(numbers, device=DEVICE)[:, None]}


@pytest.mark.parametrize("real", [False, True])
def test_probabilities_are_the_softmax_of_plain_log_likelihoods_of_phrases(folder, lamp, real):
    source = embedded_model() if real else folder
    policy = policy_of(make(lamp, source))
    plain = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(source)

    def log_likelihood(context: str, phrase: str) -> float:
        before = tokenizer(f"{context}\nNext action:")["input_ids"]
        after = tokenizer(f" {phrase}", add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logprobs_TV = plain(input_ids=torch.tensor([before + after])).logits[0].log_softmax(dim=-1)
        return sum(float(logprobs_TV[len(before) + i - 1, token]) for i, token in enumerate(after))

    for context, probabilities_A in zip(CONTEXTS, policy.probabilities(CONTEXTS), strict=True):
        phrases = ("press left", "press right", "push right now", "push now")
        left, right, also_right, wait = np.exp([log_likelihood(context, phrase) for phrase in phrases])
        expected_A = np.array([left, right + also_right, wait, 0.0]) / (left + right + also_right + wait)
        np.testing.assert_allclose(probabilities_A, expected_A, rtol=2e-3, atol=1e-9)
        assert probabilities_A[3] == 0.0


def test_values_are_the_head_on_the_hidden_state_where_the_context_ends(folder, lamp):
    policy = policy_of(make(lamp, folder))
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(f"{CONTEXTS[1]}\nNext action:", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        hidden_D = plain(input_ids=tokens, output_hidden_states=True).hidden_states[-1][0, -1]
        expected = policy.value_net(hidden_D.to(DEVICE))
        torch.testing.assert_close(policy.predict_values(numbered(0, 1))[1], expected, atol=1e-5, rtol=1e-4)


def test_a_minibatch_without_duplicates_computed_has_the_gradient_of_one_with(folder, lamp):
    policy = policy_of(make(lamp, folder))
    numbers, actions = (0, 1, 1, 0, 1), (1, 1, 0, 2, 2)
    advantages = (0.5, -1.0, 2.0, 0.3, -0.2)

    def gradients(batches: list[list[int]]) -> list[Tensor]:
        policy.zero_grad()
        for batch in batches:
            values_B1, log_prob_B, entropy_B = policy.evaluate_actions(
                numbered(*(numbers[i] for i in batch)), torch.tensor([actions[i] for i in batch], device=DEVICE)
            )
            assert entropy_B is not None
            weight_B = torch.tensor([advantages[i] for i in batch], device=DEVICE)
            (weight_B * log_prob_B + 0.1 * entropy_B + (values_B1[:, 0] - weight_B) ** 2).sum().backward()
        return [p.grad.clone() for p in policy.parameters() if p.grad is not None]

    asked = policy.asked
    together = gradients([[0, 1, 2, 3, 4]])
    assert policy.asked - asked == len(CONTEXTS)
    separate = gradients([[0], [1], [2], [3], [4]])
    assert len(together) == len(separate) == len(list(policy.parameters()))
    assert sum(float(gradient.abs().sum()) for gradient in together) > 0
    for ours, theirs in zip(together, separate, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_contexts_are_read_once_until_the_weights_change(folder, lamp):
    policy = policy_of(make(lamp, folder))
    before = policy.probabilities(CONTEXTS)
    asked = policy.asked
    np.testing.assert_array_equal(policy.probabilities(CONTEXTS * 2), np.tile(before, (2, 1)))
    assert policy.asked == asked

    weights = {name: value.clone() for name, value in policy.state_dict().items()}
    _, log_prob_B, _ = policy.evaluate_actions(numbered(0, 1), torch.tensor([0, 1], device=DEVICE))
    (-log_prob_B.sum()).backward()
    policy.optimizer.step()
    after = policy.probabilities(CONTEXTS)
    assert after[0, 0] > before[0, 0] + 0.01

    policy.load_state_dict(weights)
    np.testing.assert_allclose(policy.probabilities(CONTEXTS), before, atol=1e-6)


def test_what_a_rollout_stores_is_what_training_computes(folder, lamp):
    """Without this PPO's ratio would not start at one."""
    model = make(lamp, folder)
    seen = []

    class Watch(LanguageRounds):
        def _on_rollout_end(self):
            super()._on_rollout_end()
            buffer = self.model.rollout_buffer
            obs = {NUMBER: torch.as_tensor(buffer.observations[NUMBER].reshape(-1, 1), device=DEVICE)}
            _, log_prob_B, _ = self.policy.evaluate_actions(
                obs, torch.as_tensor(buffer.actions.reshape(-1), device=DEVICE)
            )
            seen.append((log_prob_B.detach().cpu().numpy(), buffer.log_probs.reshape(-1).copy()))

    model.learn(192, callback=Watch(model))
    assert len(seen) == 3
    for computed_B, stored_B in seen:
        np.testing.assert_allclose(computed_B, stored_B, atol=1e-5)


def test_a_context_has_the_number_of_its_text_in_every_observation():
    """``student="text"`` observes the words of the context, an independent way to the same text."""
    task = make_task("babyai:GoToRedBallNoDists")
    envs = ContextVecEnv(make_envs(task, "text", 4), reward_scale=20.0)
    envs.seed(0)
    words = Words(task.vocabulary, task.max_words)

    def check(observation, numbers_E1) -> None:
        for words_T, [number] in zip(observation["context"], numbers_E1, strict=True):
            np.testing.assert_array_equal(words.encode(envs.texts[int(number)]), words_T)

    random = np.random.default_rng(0)
    observations, ended, successes = envs.reset(), 0, 0
    check(observations, observations[NUMBER])
    for _ in range(300):
        observations, rewards, dones, infos = envs.step(random.integers(3, size=4))
        check(observations, observations[NUMBER])
        for i in np.flatnonzero(dones):
            last = infos[i]["terminal_observation"]
            check({"context": last["context"][None]}, last[NUMBER][None])
            assert rewards[i] == pytest.approx(20 * infos[i]["episode"]["r"], abs=1e-4)
            ended, successes = ended + 1, successes + (rewards[i] > 0)
    assert ended > successes > 0
    assert len(set(envs.texts)) == len(envs.texts)


def test_a_random_model_learns_which_option_is_right(folder, lamp):
    """Each of eight seeds does, with the shipped learning rate; with ten times that, a third of them collapse."""
    model = make(lamp, folder, seed=1)
    policy = policy_of(model)

    def mean_return() -> float:
        _, returns = run_episodes(lamp, "image", language_actor(policy), 64, seed=0, greedy=False)
        return float(returns.mean())

    assert mean_return() < 0.7
    model.learn(3072, callback=LanguageRounds(model))
    assert mean_return() > 0.9


def test_calibration_is_an_option_that_levels_the_start(folder, lamp):
    """Mean scores over the reference contexts are subtracted, so no phrase has an advantage over all of them."""
    calibrated = dataclasses.replace(SMALL.llm_policy, calibrated=True)
    policy = policy_of(make(lamp, folder, llm_policy=calibrated))
    logs_CO = np.array(policy.teacher.score([lamp.question(context) for context in CONTEXTS]))
    weights_CO = np.exp(logs_CO - logs_CO.mean(axis=0))
    weights_CA = np.stack([weights_CO[:, 0], weights_CO[:, 1] + weights_CO[:, 2], weights_CO[:, 3]], axis=1)
    expected_CA = weights_CA / weights_CA.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(policy.probabilities(CONTEXTS)[:, :3], expected_CA, rtol=1e-4)


def test_a_teacher_that_is_no_language_model_cannot_be_the_policy(lamp):
    with pytest.raises(UserError, match="llm-policy needs a language model"):
        make(lamp, "bow")


def test_a_run_is_recorded_saved_and_read_again(folder, tmp_path):
    config = dataclasses.replace(
        SMALL, teacher=str(folder), frames=192, run_dir=tmp_path / "run",
        eval_episodes=4, teacher_eval_episodes=4, agreement_states=16,
    )  # fmt: skip
    run, summary = train(config, Console(file=io.StringIO()))
    assert (summary.frames, summary.rounds, summary.teacher_updates, summary.trust) == (192, 3, 3, None)
    assert summary.teacher == str(folder)
    assert summary.pair_success == summary.student_success
    assert 0 < summary.distinct_contexts <= summary.contexts_asked
    assert 0 < summary.teacher_seconds <= summary.wall_seconds
    assert summary.teacher_tokens > summary.contexts_asked
    assert summary.bot_agreement_before is not None
    assert summary.bot_agreement_after is not None
    rounds = read(run.ledger, "SELECT * FROM rounds ORDER BY round")
    assert [row["teacher_updates"] for row in rounds] == [0, 1, 2]
    assert all(row["teacher_agreement"] is not None for row in rounds)
    assert not list(run.path.rglob("*.pkl")) + list(run.path.rglob("*.zip"))

    pair, _ = load(run.path)
    again, _ = load(run.path)
    context = "Mission: go to the red ball. The red ball is straight ahead. The way ahead is free."
    ours = pair.language.policy.probabilities([context])
    np.testing.assert_array_equal(ours, again.language.policy.probabilities([context]))
    start = make(pair.task, folder).policy.probabilities([context])
    assert np.abs(ours - start).max() > 0.01
    measured = evaluate_run(run.path, 4)
    assert measured.keys() == {"student", "teacher", "untaught", "bot"}
    assert measured["student"].success == summary.student_success
    assert "llm-policy" in write_report(run.path).read_text(encoding="utf-8")
