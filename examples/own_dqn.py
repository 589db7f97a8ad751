"""Mutual teaching for DQN, which learns values where PPO learns a policy."""

from stable_baselines3 import DQN

import cotutor

config = cotutor.TrainConfig(method="mutual", teacher="smollm2")
task = cotutor.make_task("babyai:GoToRedBallNoDists")
envs, loop = cotutor.attach(cotutor.make_envs(task, student="text", count=16), task, config)
model = DQN(
    cotutor.GuidedDQNPolicy,
    envs,
    gamma=0.97,
    learning_starts=64,
    train_freq=1,
    gradient_steps=4,
    exploration_initial_eps=0.3,
    target_update_interval=1_000,
    policy_kwargs={"features_extractor_class": cotutor.Encoder},
)
model.learn(4_000, callback=loop)
print(f"trust in the teacher: {loop.adviser.trust.value:.2f}")
