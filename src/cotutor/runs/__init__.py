"""A run's folder: configuration, ledger, weights, summary, and what a person sees while it goes on."""
