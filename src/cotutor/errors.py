"""What may go wrong that is no failure of ours."""

from cotutor.text import plain


class UserError(Exception):
    """What the user asked for cannot be done; the message is one sentence that says why and what to do instead.

    The command prints the message and exits with code 2. Anything else is a failure of ours, exit code 1.

    Args:
        message: The sentence. What it quotes of files and servers becomes signs to read, on one line.
    """

    def __init__(self, message: str) -> None:
        super().__init__(plain(" ".join(message.split())))


class SilentTeacherError(UserError):
    """A teacher elsewhere could not answer, and may be able to later.

    Args:
        kind: What happened, in a word or two.
        message: The same as a sentence for the user.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.kind, str(self))


class LessonError(Exception):
    """A lesson would have spoilt the teacher, and was taken back; the message says by what that was seen."""
