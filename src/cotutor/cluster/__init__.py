"""Parts of a run, or whole runs, as tasks and actors of Ray: on one machine or on many (``pip install cotutor[ray]``).

What is done elsewhere is a function of what it was given, so whoever is lost with its machine is replaced, put where it
was, and asked again: the result does not change.
"""
