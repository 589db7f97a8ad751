"""Mutual teaching in a Stable-Baselines3 script of one's own."""

from stable_baselines3 import PPO

import cotutor

config = cotutor.TrainConfig(method="mutual", teacher="smollm2")
task = cotutor.make_task("babyai:GoToRedBallNoDists")
envs, loop = cotutor.attach(cotutor.make_envs(task, student="text", count=16), task, config)
model = PPO(cotutor.GuidedPolicy, envs, n_steps=64, policy_kwargs={"features_extractor_class": cotutor.Encoder})
model.learn(4_000, callback=loop)
print(f"trust in the teacher: {loop.adviser.trust.value:.2f}")
