"""What a run came to: the content of ``summary.json``."""

from collections import deque
from dataclasses import dataclass, field

from cotutor.stateful import Stateful

THRESHOLDS = (0.5, 0.75, 0.9, 0.95)
WINDOW = 100
"""Episodes over which success in training is taken."""
FIRST_POINT = 20
"""Episodes before it is taken at all: the first to end are those that end soonest, and those are successes."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a run. Fields of the teacher are None for a method without one.

    Attributes:
        task: The task's name.
        method: The method's name.
        teacher: The teacher's name.
        student: ``"text"`` or ``"image"``.
        seed: The run's seed.
        frames: Environment steps in training, trial episodes included.
        rounds: Rounds.
        wall_seconds: Seconds of training, evaluations left out.
        teacher_seconds: Seconds of those that asking and teaching the teacher took.
        contexts_asked: Contexts put to the teacher in training.
        teacher_updates: How often the teacher was fine-tuned.
        pair_success: Success of the student with advice, actions drawn.
        pair_success_greedy: The same, most probable action taken.
        pair_return: Mean return of the pair.
        student_success: Success of the student without any advice.
        student_success_greedy: The same, most probable action taken.
        student_return: Mean return of the student without advice.
        eval_episodes: Held-out episodes of either evaluation.
        frames_to_success: Frames until the success over the last 100 training episodes (trials left out) reached a
            threshold, None where it never did.
        teacher_success_before: Success of the untaught teacher alone, calibrated, without any feedback memory.
        teacher_success_after: The same after training.
        bot_agreement_before: Share of a fixed set of states in which the untaught teacher's best option is right.
        bot_agreement_after: The same after training.
        agreement_ceiling: The best share that any map from contexts to options reaches on those states.
        distinct_contexts: Distinct contexts met in training; one that comes back after a hundred rounds counts again.
        trust: Trust over all contexts at the end.
        teacher_tokens: Tokens that went through the language model in training, once for each time a batch of
            questions or lessons was computed; zero for a teacher without one, None also in runs older than the count.
        shortened_contexts: Contexts, distinct ones as the teacher read them, that were too long for it and lost their
            middle.
        accelerator: The CUDA device on which a language model would compute; None on a machine without one.
        transfer: By name, the other tasks on which the finished run was measured: success of the ``"pair"``, of the
            ``"student"`` without any advice and of the ``"teacher"`` alone there, taught and, with the same student at
            the low level if there are plans, ``"untaught"``; and ``"bot_agreement"``, the share of states in which the
            teacher's best option is right there.
        runs_before: How many runs it went on from, one after the other.
        teacher_failures: How often the teacher could not answer, or an update of it was taken back (in the ledger).
        repeatable: False if what the teacher said in time depended on the clock: on a budget in seconds, or a server.
    """

    task: str
    method: str
    teacher: str | None
    student: str
    seed: int
    frames: int
    rounds: int
    wall_seconds: float
    teacher_seconds: float | None
    contexts_asked: int | None
    teacher_updates: int | None
    pair_success: float
    pair_success_greedy: float
    pair_return: float
    student_success: float
    student_success_greedy: float
    student_return: float
    eval_episodes: int
    frames_to_success: dict[str, int | None]
    teacher_success_before: float | None
    teacher_success_after: float | None
    bot_agreement_before: float | None
    bot_agreement_after: float | None
    agreement_ceiling: float | None
    distinct_contexts: int | None
    trust: float | None
    repeatable: bool
    teacher_tokens: int | None = None
    shortened_contexts: int = 0
    teacher_failures: int = 0
    accelerator: str | None = None
    runs_before: int = 0
    transfer: dict[str, dict[str, float]] = field(default_factory=dict)


TIMES = ("wall_seconds", "teacher_seconds")
"""The fields that two runs of the same seed need not share."""


class SuccessWindow(Stateful):
    """Success over the last 100 training episodes, and when it first reached each threshold.

    Attributes:
        recent: Whether each of those episodes succeeded, trials left out.
        frames_to: Per threshold the frames at which it was first reached, None so far where it was not.
    """

    changes = ("recent", "frames_to")

    def __init__(self) -> None:
        self.recent: deque[bool] = deque(maxlen=WINDOW)
        self.frames_to: dict[str, int | None] = {str(threshold): None for threshold in THRESHOLDS}

    def add(self, frames: int, success: bool) -> None:
        """Adds the next episode that ended."""
        self.recent.append(success)
        for threshold in THRESHOLDS:
            if self.frames_to[str(threshold)] is None and self.reaches(threshold):
                self.frames_to[str(threshold)] = frames

    def reaches(self, threshold: float) -> bool:
        """Tells whether 100 episodes have ended, and so many of the last succeeded."""
        return len(self.recent) == WINDOW and sum(self.recent) / WINDOW >= threshold

    @property
    def success(self) -> float | None:
        """The success, None before there are episodes enough to say."""
        return sum(self.recent) / len(self.recent) if len(self.recent) >= FIRST_POINT else None
