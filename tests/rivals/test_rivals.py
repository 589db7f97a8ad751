"""The rivals: their mathematics against an independent computation, and that a good teacher helps through each."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console
from stable_baselines3.common.vec_env import VecEnv

from cotutor.attach import attach
from cotutor.config import METHODS, AskingConfig, PPOConfig, RivalConfig, TrainConfig
from cotutor.errors import UserError
from cotutor.inspect import evaluate_run
from cotutor.rivals.annealing import ADVICE, AnnealedPolicy, weight
from cotutor.rivals.cloning import CloningLoop
from cotutor.rivals.hints import HINT, make_hints
from cotutor.rivals.one_way import PatientPPO
from cotutor.students.policies import PRIOR, policy_probabilities
from cotutor.students.ppo import make_envs
from cotutor.tasks import make_task
from cotutor.train import Pair, build, train

CONFIG = TrainConfig(
    student="image", teacher="oracle", frames=4096, threads=1, eval_episodes=32, teacher_eval_episodes=8,
    agreement_states=16, ppo=PPOConfig(envs=8, steps=64, epochs=2),
)  # fmt: skip
RIVALS = [name for name, method in METHODS.items() if method.rival]


def started(method: str, teacher: str = "oracle", **changes) -> Pair:
    """Returns a pair of which the loop is ready, and nothing is learnt."""
    pair = build(replace(CONFIG, method=method, teacher=teacher, **changes))
    assert pair.loop is not None
    pair.loop.init_callback(pair.model)
    return pair


def observed(pair: Pair) -> dict[str, np.ndarray]:
    envs = pair.model.get_env()
    assert isinstance(envs, VecEnv)
    envs.seed(0)
    observations = envs.reset()
    assert isinstance(observations, dict)
    return observations


def test_the_weight_falls_linearly_and_is_dropped() -> None:
    settings = RivalConfig(annealed_weight=10.0, annealed_least=0.1, annealed_fall=0.4, annealed_drop=0.6)
    assert weight(0.0, settings) == 10.0
    assert weight(0.2, settings) == pytest.approx(5.05)
    assert weight(0.4, settings) == weight(0.59, settings) == pytest.approx(0.1)
    assert weight(0.6, settings) == weight(1.0, settings) == 0.0


def test_the_loss_of_annealed_is_ppos_plus_the_weighted_cross_entropy() -> None:
    pair = started("annealed")
    policy = pair.model.policy
    assert isinstance(policy, AnnealedPolicy)
    states = observed(pair)
    actions = torch.arange(8) % 7
    tensors = {name: torch.as_tensor(values) for name, values in states.items()}
    _, log_prob, entropy = policy.evaluate_actions(tensors, actions)
    probabilities_EA = policy_probabilities(policy, states)
    advice_EA = states[ADVICE][:, 1:]
    cross_entropy_E = -(advice_EA * np.log(probabilities_EA)).sum(axis=1)
    plain_E = -(probabilities_EA * np.log(probabilities_EA)).sum(axis=1)
    coefficient = pair.model.ent_coef
    expected = -coefficient * plain_E.mean() + (states[ADVICE][:, 0] * cross_entropy_E).mean()
    assert -coefficient * entropy.mean().item() == pytest.approx(expected, rel=1e-4)
    assert np.allclose(log_prob.detach().numpy(), np.log(probabilities_EA[np.arange(8), actions]), atol=1e-5)
    assert np.all(states[ADVICE][:, 0] == 1.0)
    assert np.all(advice_EA.argmax(axis=1) < 3)


def test_the_network_of_annealed_does_not_see_the_advice() -> None:
    pair = started("annealed")
    states = observed(pair)
    changed = {**states, ADVICE: states[ADVICE] + 1.0}
    assert np.array_equal(
        policy_probabilities(pair.model.policy, states), policy_probabilities(pair.model.policy, changed)
    )


def test_annealed_needs_an_entropy_bonus() -> None:
    with pytest.raises(UserError, match="needs a positive"):
        build(replace(CONFIG, method="annealed", ppo=replace(CONFIG.ppo, entropy=0.0)))


def test_a_hint_is_the_best_action_and_a_flag() -> None:
    log_advice = np.log(np.array([[0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [1.0, 1.0, 1.0]]))
    hints = make_hints(log_advice, np.array([True, False, True]))
    assert hints.tolist() == [[0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_hints_come_as_often_as_said_and_the_student_sees_them() -> None:
    pair = started("hints")
    envs = pair.model.get_env()
    assert isinstance(envs, VecEnv)
    observed(pair)
    given = [envs.step([6] * 8)[0][HINT][:, -1] for _ in range(200)]  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert np.mean(given) == pytest.approx(1 / CONFIG.rivals.hint_every, abs=0.03)
    states = observed(pair)
    states[HINT] = np.zeros_like(states[HINT])
    hinted = {**states, HINT: np.ones_like(states[HINT])}
    assert not np.allclose(
        policy_probabilities(pair.model.policy, states), policy_probabilities(pair.model.policy, hinted)
    )


def test_what_is_not_offered_has_no_probability_when_the_teacher_acts() -> None:
    pair = started("llm-alone")
    probabilities_EA = policy_probabilities(pair.model.policy, observed(pair))
    assert probabilities_EA[:, 3:].max() < 1e-3
    assert np.all(probabilities_EA.max(axis=1) > 0.9)


def test_llm_alone_learns_nothing() -> None:
    pair = started("llm-alone", frames=512)
    before = {name: value.clone() for name, value in pair.model.policy.state_dict().items()}
    assert pair.loop is not None
    pair.model.learn(512, callback=pair.loop)
    assert all(torch.equal(before[name], value) for name, value in pair.model.policy.state_dict().items())


@pytest.mark.slow
def test_bc_waits_clones_and_then_learns_alone() -> None:
    pair = started("bc", rivals=RivalConfig(cloning_share=0.25, cloning_epochs=30))
    loop, model = pair.loop, pair.model
    assert isinstance(loop, CloningLoop)
    assert isinstance(model, PatientPPO)
    reports = []
    loop.on_round = reports.append
    untaught = policy_probabilities(model.policy, {**observed(pair), PRIOR: np.zeros((8, 7), dtype=np.float32)})
    assert np.allclose(untaught, 1 / 7)
    model.learn(1024, callback=loop)
    assert not model.patient
    assert [report.distillation_loss is None for report in reports] == [True, True]
    states = observed(pair)
    assert not states[PRIOR].any()
    advice_EA = np.exp(loop.adviser.guide([""] * 8, loop.guide.plain.envs)[0])
    cloned_EA = policy_probabilities(model.policy, states)
    assert np.mean(cloned_EA.argmax(axis=1) == advice_EA.argmax(axis=1)) >= 0.6
    cloned = {name: value.clone() for name, value in model.policy.state_dict().items()}
    model.learn(512, callback=loop, reset_num_timesteps=False)
    assert any(not torch.equal(cloned[name], value) for name, value in model.policy.state_dict().items())


def test_bc_clones_only_states_with_advice() -> None:
    pair = started("bc", teacher="uniform", asking=AskingConfig(per_round=1), frames=1024)
    loop = pair.loop
    assert isinstance(loop, CloningLoop)
    kept = []
    clone, loop.clone = loop.clone, lambda: kept.append(loop.demonstrations()) or clone()  # type: ignore[method-assign]
    pair.model.learn(512, callback=loop)
    states, advice_NA, returns_N = kept[0]
    assert 0 < len(returns_N) == len(advice_NA) == len(states[PRIOR]) < 512
    assert np.allclose(advice_NA[:, :3], 1 / 3, atol=1e-3)


@pytest.mark.parametrize("method", [*RIVALS, "llm-policy"])
def test_a_rival_cannot_be_attached_to_a_student(method: str) -> None:
    task = make_task(CONFIG.task)
    with pytest.raises(UserError, match="cannot be attached"):
        attach(make_envs(task, "image", 2), task, replace(CONFIG, method=method))


@pytest.mark.parametrize("method", RIVALS)
def test_a_run_of_a_rival_can_be_measured_again(method: str, tmp_path) -> None:
    config = replace(
        CONFIG, method=method, teacher="bow", frames=1024, run_dir=tmp_path / "run", rivals=RivalConfig(hint_every=1.0)
    )
    folder, summary = train(config, Console(quiet=True))
    again = evaluate_run(folder.path, config.eval_episodes)
    assert again["student"].success == summary.student_success
    assert again["pair"].success == summary.pair_success
    assert summary.trust is None
    assert summary.contexts_asked


@pytest.mark.parametrize(
    ("method", "frames"),
    [("llm-alone", 3072), ("bc", 6144), ("annealed", 6144), pytest.param("hints", 20_480, marks=pytest.mark.slow)],
)
def test_a_good_teacher_helps_through_every_rival(method: str, frames: int) -> None:
    """Early success with the bot as teacher, against the same method with a teacher who knows nothing."""
    early = {}
    settings = RivalConfig(hint_every=1.0, cloning_share=0.34, annealed_fall=1.0, annealed_drop=1.0)
    ppo = PPOConfig() if method == "hints" else PPOConfig(envs=8, steps=64, batch_size=128, epochs=6)
    for teacher in ("oracle", "uniform"):
        pair = started(method, teacher=teacher, frames=frames, rivals=settings, ppo=ppo)
        assert pair.loop is not None
        pair.model.learn(frames, callback=pair.loop)
        buffer = pair.model.ep_info_buffer
        assert buffer is not None
        early[teacher] = np.mean([entry["r"] > 0 for entry in buffer])
    assert early["oracle"] >= early["uniform"] + 0.2, early
