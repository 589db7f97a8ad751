"""The one exception that stands for a mistake of the user's."""


class UserError(Exception):
    """What the user asked for cannot be done; the message is one sentence that says why and what to do instead.

    The command prints the message and exits with code 2. Anything else is a failure of ours, exit code 1.
    """
