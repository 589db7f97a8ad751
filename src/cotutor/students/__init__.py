"""The Stable-Baselines3 side: guidance, distillation, and the encoder of observation and instruction."""
