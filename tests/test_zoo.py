"""Hyper-parameters as RL Baselines3 Zoo writes them."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cotutor.errors import UserError
from cotutor.zoo import read_zoo

ENTRIES = """
default: &small
  n_envs: 2
  n_timesteps: !!float 64
  policy: 'MlpPolicy'
  n_steps: 32
  batch_size: 16
  n_epochs: 2
  gae_lambda: 0.9
  gamma: 0.98
  ent_coef: 0.0
  learning_rate: lin_2.5e-4
  clip_range: 1e-1
MiniGrid-FourRooms-v0:
  <<: *small
  normalize: true
  policy_kwargs: "dict(net_arch=[64])"
  learning_rate: 1e-3
"""
PPO = {
    "envs": 2,
    "steps": 32,
    "batch_size": 16,
    "epochs": 2,
    "gae_lambda": 0.9,
    "gamma": 0.98,
    "entropy": 0.0,
    "clip_range": 0.1,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ppo.yml"
    path.write_text(ENTRIES)
    return path


def test_an_entry_becomes_settings(path):
    settings, left_out = read_zoo(f"{path}:MiniGrid-FourRooms-v0")
    assert settings == {"frames": 64, "ppo": {**PPO, "learning_rate": 1e-3}}
    assert left_out == ["policy", "normalize", "policy_kwargs"]


def test_a_number_that_falls_stays_what_it_is_at_the_start_and_that_is_said(path):
    settings, left_out = read_zoo(f"{path}:default")
    assert settings == {"frames": 64, "ppo": {**PPO, "learning_rate": 2.5e-4}}
    assert left_out == ["policy", "the fall of learning_rate"]


def test_names_that_are_no_words_are_left_out_too(tmp_path):
    path = tmp_path / "ppo.yml"
    path.write_text("A: {1: 2, off: 3, gamma: 0.5}\n")
    assert read_zoo(str(path)) == ({"ppo": {"gamma": 0.5}}, ["1", "False"])


def test_the_only_entry_needs_no_name(tmp_path):
    path = tmp_path / "own:ppo.yml"
    path.write_text("My-v0: {n_envs: 4}\n")
    assert read_zoo(str(path)) == ({"ppo": {"envs": 4}}, [])


@pytest.mark.parametrize(
    ("written", "entry", "words"),
    [
        (ENTRIES, "", "default, MiniGrid-FourRooms-v0"),
        (ENTRIES, ":Nothing-v0", "default, MiniGrid-FourRooms-v0"),
        ("A: {n_envs: many}", "", "n_envs is 'many', which is no number"),
        ("A: {n_steps: 2.5}", "", "n_steps is 2.5, which is no whole number"),
        ("A: {n_steps: .inf}", "", "n_steps is inf, which is no whole number"),
        ("A: {gamma: [0.9]}", "", "which is no number"),
        (f"A: {{gamma: 1{'0' * 400}}}", "", "which is no number"),
        ("A: {gamma: 2001-99-99}", "", "cannot be read"),
        ("A: 3", "", "must be a mapping"),
        ("- 1", "", "must be a mapping"),
        ("A: !!python/object:os.system {}", "", "cannot be read"),
    ],
)
def test_what_cannot_be_understood_is_said_in_a_sentence(tmp_path, written, entry, words):
    path = tmp_path / "ppo.yml"
    path.write_text(written)
    with pytest.raises(UserError, match=words):
        read_zoo(f"{path}{entry}")


def test_a_run_is_trained_with_them_and_flags_and_configuration_win(path, tmp_path):
    (tmp_path / "c.yaml").write_text("{method: ppo, eval_episodes: 2, ppo: {gamma: 0.5, gae_lambda: 0.5}}")
    flags = f"--zoo={path}:default --config={tmp_path / 'c.yaml'} --ppo.gae-lambda 0.7 --run-dir={tmp_path / 'run'}"
    command = [Path(sys.executable).with_name("cotutor"), "train", "--threads", "1", *flags.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "policy, the fall of learning_rate" in done.stdout
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["frames"] == 64
    wanted = {**PPO, "learning_rate": 2.5e-4, "gamma": 0.5, "gae_lambda": 0.7}
    assert config["ppo"] == {**wanted, "layer_norm": False}
