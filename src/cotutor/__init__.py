"""A language model and a reinforcement learner teach each other."""
