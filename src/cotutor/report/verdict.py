"""What a run came to, in plain words that claim no more than its numbers."""

from math import sqrt

from cotutor.config import METHODS
from cotutor.runs.summary import WINDOW, Summary

NO_TRUST = 0.05
SOME_TRUST = 0.5
NOTICEABLE = 0.05
"""Change of a share that is called one: the summary does not say how many episodes or states it rests on."""

ONE_SEED = (
    "This is one run of one seed: it proves nothing by itself. Whether more than chance is at work takes a comparison "
    "over seeds: cotutor compare."
)


def verdict(summary: Summary) -> str:
    """Returns one paragraph: what the student can do, what the teacher can do now, and what the advice was worth."""
    sentences = [_student(summary)]
    if summary.teacher is not None:
        sentences += [_together(summary), _teacher(summary), _advice(summary), _shortened(summary)]
    return " ".join([*filter(None, sentences), ONE_SEED])


def _shortened(summary: Summary) -> str:
    if not summary.shortened_contexts:
        return ""
    one = summary.shortened_contexts == 1
    return f"{summary.shortened_contexts:,} {'context was' if one else 'contexts were'} too long and lost the middle."


def percent(share: float) -> str:
    """Returns a share as a whole percentage; only a share of exactly 1 is called 100%, and only exactly 0 is 0%."""
    if 0 < share < 0.005:
        return "<1%"
    if 0.995 <= share < 1:
        return ">99%"
    return f"{share:.0%}"


def difference_is_clear(first: float, second: float, episodes: int) -> bool:
    """Returns whether the 95% interval of the difference of two success rates, ``episodes`` each, leaves out zero.

    Two successes and two failures are added to the two samples together, which keeps the interval honest near 0 and 1
    (Agresti & Caffo 2000).
    """
    shrunk = [(rate * episodes + 1) / (episodes + 2) for rate in (first, second)]
    error = sqrt(sum(rate * (1 - rate) for rate in shrunk) / (episodes + 2))
    return abs(shrunk[0] - shrunk[1]) > 1.96 * error


def _student(summary: Summary) -> str:
    alone = percent(summary.student_success)
    held_out = f"{summary.eval_episodes} held-out episodes of {summary.task}"
    if summary.teacher is None:
        done = f"Without any teacher, the student succeeded in {alone} of {held_out}"
    else:
        done = f"In {held_out} the student succeeded in {percent(summary.pair_success)} with the teacher's advice "
        done += f"and in {alone} alone"
    return f"{done}, after {summary.frames:,} frames of training. {_training(summary)}"


def _training(summary: Summary) -> str:
    reached = {
        float(threshold): frames for threshold, frames in summary.frames_to_success.items() if frames is not None
    }
    lowest = min(map(float, summary.frames_to_success))
    over = f"Over the last {WINDOW} episodes of training"
    if not reached:
        return f"{over} success never reached {lowest:.0%}."
    best = max(reached)
    missed = [threshold for threshold in map(float, summary.frames_to_success) if threshold > best]
    never = f" and never {min(missed):.0%}" if missed else ""
    return f"{over} success first reached {best:.0%} at {reached[best]:,} frames{never}."


def _together(summary: Summary) -> str:
    pair, alone = summary.pair_success, summary.student_success
    if not difference_is_clear(pair, alone, summary.eval_episodes):
        return "The pair is not measurably better than the student alone."
    if pair < alone:
        return "The pair does worse than the student alone: at the end the advice is in the way."
    return "So at the end the pair can do what the student alone cannot yet."


def _teacher(summary: Summary) -> str:
    before, after = summary.teacher_success_before, summary.teacher_success_after
    said = []
    if before is not None and after is not None:
        said.append(f"it succeeds alone in {_change(before, after)} of its own held-out episodes")
    ceiling = summary.agreement_ceiling
    agreed, agrees = summary.bot_agreement_before, summary.bot_agreement_after
    if agreed is not None and agrees is not None:
        most = "" if ceiling is None else f" (at most {percent(ceiling)} is possible from the contexts)"
        said.append(f"its best option is right in {_change(agreed, agrees)} of a fixed set of states{most}")
    untaught = not summary.teacher_updates
    idle = f"The teacher was not fine-tuned{_why_not(summary)}"
    if not said:
        return f"{idle}." if untaught else "What the teacher has learnt was not measured."
    taught = f"After {_updates(summary.teacher_updates or 0)} from what the student found out, the teacher "
    changes = [b - a for a, b in ((before, after), (agreed, agrees)) if a is not None and b is not None]
    figures = ", and ".join(said)
    if untaught:
        return f"{idle}, so by itself it can do what it could before: {figures}."
    if max(changes) >= NOTICEABLE and min(changes) > -NOTICEABLE:
        return f"{taught}can do what it could not before: {figures}."
    if min(changes) <= -NOTICEABLE and max(changes) < NOTICEABLE:
        return f"{taught}is worse than before: {figures}."
    if max(changes) >= NOTICEABLE:
        return f"{taught}is better by one measure and worse by the other: {figures}."
    return f"{taught}can do no more than before: {figures}."


def _why_not(summary: Summary) -> str:
    if not METHODS[summary.method].lasting:
        return ""
    return (
        f" (it takes no lessons, or in {summary.rounds} rounds none was due or told it anything new: see lessons.every "
        "and lessons.least_news)"
    )


def _change(before: float, after: float) -> str:
    if percent(before) == percent(after):
        return f"{percent(after)}, as before,"
    return f"{percent(after)} (before: {percent(before)})"


def _updates(count: int) -> str:
    return "one update" if count == 1 else f"{count} updates"


def _advice(summary: Summary) -> str:
    if summary.trust is None:
        return ""
    ended = f"trust ended at {summary.trust:.2f} of 1"
    if summary.trust < NO_TRUST:
        return (
            f"At the end the advice was not worth following ({ended}): the student's own measurements show no gain "
            "from it, or the student no longer needs it; the curve of trust tells which."
        )
    if summary.trust < SOME_TRUST:
        return f"The evidence that the advice was worth following is weak ({ended})."
    revised = ", with the student's feedback in it," if METHODS[summary.method].realtime else ""
    return f"By the student's own measurements the advice{revised} was worth following ({ended})."
