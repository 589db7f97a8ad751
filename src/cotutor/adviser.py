"""Who the student asks: a teacher with a cache, the feedback memory, the dialogue and the trust in what comes out."""

import heapq
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
from scipy.special import softmax

from cotutor.breaker import Breaker
from cotutor.config import AskingConfig, DialogueConfig
from cotutor.dialogue import Example, likeness, revise, with_examples, with_feedback
from cotutor.errors import SilentTeacherError
from cotutor.memory import ContextSums, FeedbackMemory
from cotutor.stateful import Stateful
from cotutor.tasks.base import Task
from cotutor.tasks.words import split
from cotutor.teachers.base import Teacher
from cotutor.trust import Trust
from cotutor.types import Consultation, Failure, FloatArray, Question

LOG_FLOOR = 1e-4
EXAMPLE_CONTEXTS = 512
"""Examples are looked for among so many contexts, those tried most."""
REFERENCE_CONTEXTS = 64
"""The teacher is calibrated on so many contexts at most."""
TINY = np.finfo(float).tiny


@dataclass(frozen=True, slots=True)
class Answer:
    """What the teacher last said about a context.

    Attributes:
        scores_O: Its uncalibrated scores.
        own_O: Its own advice, calibrated, before any feedback.
        advice_O: The advice that feedback revises further: ``own_O``, or what the teacher said after reading the
            feedback, or, after a lesson and until it is asked again, the advice that the lesson taught.
        version: The teacher's version that answered.
    """

    scores_O: FloatArray
    own_O: FloatArray
    advice_O: FloatArray
    version: int


@dataclass(frozen=True, slots=True)
class Request:
    """What the teacher is asked once.

    Attributes:
        questions: The questions.
        prompted: The same with what the student says to them, to be asked once more; nothing where it says nothing.
        references: The questions that it is calibrated on first; nothing where it is calibrated already.
    """

    questions: list[Question]
    prompted: list[Question]
    references: list[Question]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of asking the teacher once.

    Attributes:
        answers: The answers.
        calibrated: Whether it was calibrated before it gave them.
        seconds: The seconds that all that took.
        tokens: The tokens, likewise.
    """

    answers: list[Answer]
    calibrated: bool
    seconds: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Contexts that the teacher was asked about, and where its reply will be."""

    contexts: list[str]
    reply: Future[Reply]


@dataclass(frozen=True, slots=True)
class Guidance:
    """Advice as the student uses it: per action, with its trust.

    Attributes:
        advice_A: Probability of each action; phrases for one action add up, actions without a phrase have none.
        log_advice_A: log(advice + 1e-4); actions without a phrase get the mean of the others.
        trust: Trust in this context's advice.
    """

    advice_A: FloatArray
    log_advice_A: FloatArray
    trust: float


def per_action(question: Question, advice_O: FloatArray, actions: int) -> tuple[FloatArray, FloatArray]:
    """Returns the advice per action and its log (see :class:`Guidance`), shapes (A,)."""
    advice_A = np.zeros(actions)
    offered = [option.action for option in question.options]
    np.add.at(advice_A, offered, advice_O)
    log_offered = np.log(advice_A[offered] + LOG_FLOOR)
    log_advice_A = np.full(actions, log_offered.mean())
    log_advice_A[offered] = log_offered
    return advice_A, log_advice_A


class Adviser(Stateful):
    """Advises the student within a budget of questions.

    Args:
        task: The task, for the options of a context.
        teacher: The teacher asked.
        memory: The student's feedback.
        trust: Trust in the advice.
        dialogue: How feedback revises advice.
        asking: The budget.
        realtime: Whether feedback revises advice at all.
        probation: Trust up to which the teacher is on probation.
    """

    changes = (
        "memory",
        "trust",
        "answers",
        "_guidance",
        "met",
        "shortened",
        "shortened_contexts",
        "asked",
        "requested",
        "_answered",
        "seconds",
        "tokens",
        "elapsed",
        "waiting_for",
    )

    def __init__(
        self,
        task: Task,
        teacher: Teacher,
        memory: FeedbackMemory,
        trust: Trust,
        dialogue: DialogueConfig,
        asking: AskingConfig,
        realtime: bool,
        probation: float,
    ) -> None:
        self.task = task
        self.teacher = teacher
        self.memory = memory
        self.trust = trust
        self.dialogue = dialogue
        self.asking = asking
        self.probation = probation
        self.depth = dialogue.depth if realtime else 0
        self.answers: dict[str, Answer] = {}
        self.met = ContextSums(1)
        self.shortened: set[str] = set()
        self.shortened_contexts = 0
        self.asked = 0
        self.requested = 0
        self._answered: list[str] = []
        self._waiting: Waiting | None = None
        self.breaker = Breaker()
        self._failures: list[Failure] = []
        self._asking = ThreadPoolExecutor(1, "teacher")
        self.seconds = 0.0
        self.tokens = 0
        self.started = time.perf_counter()
        self._guidance: dict[str, Guidance | None] = {}

    @property
    def on_probation(self) -> bool:
        """Whether too little trust has been earned yet for more than the trial to follow the advice."""
        return self.trust.value <= self.probation

    @property
    def unrewarded(self) -> bool:
        """Whether no reward has told yet what any option is worth."""
        return not self.memory.sums.rows

    @property
    def elapsed(self) -> float:
        """Seconds since the run began, pauses of a run that was interrupted left out."""
        return time.perf_counter() - self.started

    @elapsed.setter
    def elapsed(self, seconds: float) -> None:
        self.started = time.perf_counter() - seconds

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """The contexts that the teacher has still to answer; where a run is taken up again, it is asked again."""
        return () if self._waiting is None else tuple(self._waiting.contexts)

    @waiting_for.setter
    def waiting_for(self, contexts: tuple[str, ...]) -> None:
        if contexts:
            self._waiting = Waiting(list(contexts), self._asking.submit(self._answer, self._calibrating(contexts)))

    def read(self, contexts: Sequence[str]) -> list[str]:
        """Returns the contexts as the teacher reads them; everything else here is about those.

        What is too long for it is shortened, and remembered to be counted.
        """
        with self.clock():
            read = self.teacher.read(contexts)
        most = self.teacher.most_characters
        shortened = {text for text, context in zip(read, contexts, strict=True) if len(context) > most >= len(text)}
        self.shortened |= shortened
        return read

    def guide(self, contexts: Sequence[str], envs: Sequence[gym.Env[Any, Any]]) -> tuple[FloatArray, FloatArray]:
        """Returns log-advice per action, shape (E, A), zero where the teacher was not asked, and trust, shape (E,)."""
        actions = len(self.task.actions)
        log_advice_EA, trust_E = np.zeros((len(contexts), actions)), np.zeros(len(contexts))
        for i, context in enumerate(contexts):
            guidance = self._guide_state(context, envs[i]) if self.teacher.privileged else self.guidance(context)
            if guidance is not None:
                log_advice_EA[i], trust_E[i] = guidance.log_advice_A, guidance.trust
        return log_advice_EA, trust_E

    def guidance(self, context: str) -> Guidance | None:
        """Returns the guidance in a context, None where the teacher was never asked."""
        if context not in self._guidance:
            self._guidance[context] = self._compute(context)
        return self._guidance[context]

    def recall(self, contexts: Sequence[str], log_advice_BA: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Returns the present log-advice, shape (B, A), and trust, shape (B,), on contexts of states that are past.

        Args:
            contexts: The contexts.
            log_advice_BA: The log-advice of then; a privileged teacher's stays, for it knew more than the context.
        """
        if self.teacher.privileged:
            return log_advice_BA, np.array([self.trust.of(context) for context in contexts])
        return self.guide(contexts, [])

    def revised(self, context: str) -> FloatArray:
        """Returns the advice of an asked context after the dialogue, shape (O,)."""
        question = self.task.question(context)
        return self._revise(question, self.answers[context].advice_O)

    def advice(self, context: str, env: gym.Env[Any, Any]) -> tuple[FloatArray, FloatArray] | None:
        """Returns the teacher's own advice in the state of ``env`` and the revised one, shapes (O,).

        None where the teacher was never asked.
        """
        if self.teacher.privileged:
            question = self.task.question(context)
            own_O = softmax(self.teacher.score_state(env, question))
            return own_O, self._revise(question, own_O)
        return (self.answers[context].own_O, self.revised(context)) if context in self.answers else None

    def meet(self, contexts: Sequence[str]) -> None:
        """Counts the contexts of a rollout; the count decays like feedback, and what it forgets is met anew."""
        shortened = self.shortened.intersection(contexts)
        self.shortened_contexts += len(shortened - self.met.rows.keys())
        self.shortened -= shortened
        self.met.age(self.dialogue.decay)
        self.met.add(contexts, np.ones((len(contexts), 1)))
        if len(self.answers) > self.asking.remembered:
            self._drop_answers()

    def _drop_answers(self) -> None:
        """Drops a tenth of the answers more than is too much: those about the contexts met least lately.

        Those that came since the last report, which is to tell of them, stay.
        """
        old = self.answers.keys() - set(self._answered)
        excess = len(self.answers) - int(0.9 * self.asking.remembered)
        for context in heapq.nsmallest(excess, sorted(old), key=self.met.count):
            del self.answers[context]

    @property
    def distinct(self) -> int:
        """Number of contexts met so far; one that was forgotten counts again."""
        return self.met.added

    def refresh(self) -> None:
        """Makes new feedback, trust and answers count from now on."""
        self.collect()
        self._guidance.clear()

    def choose(self) -> list[str]:
        """Returns the contexts worth asking about, by visits x uncertainty, within the budget of a round.

        A context never asked is wholly uncertain. One that an older version answered is as uncertain as its advice has
        entropy. One that the present version answered is not asked again, unless feedback is in the prompt.
        """
        budget = min(self._budget(), len(self.met.rows))
        if not budget:
            return []
        value_C, rows = self.met.counts, self.met.rows
        for context in self.answers.keys() & rows.keys():
            value_C[rows[context]] *= self._uncertainty(context)
        least = max(np.partition(value_C, -budget)[-budget], TINY)
        worthy = [context for context, row in rows.items() if value_C[row] >= least]
        return sorted(worthy, key=lambda context: (-value_C[rows[context]], context))[:budget]

    def ask_at_once(self, contexts: Sequence[str]) -> None:
        """Asks at once about contexts never asked before, within the budget of the round, if that is wanted.

        Nothing is asked before the first round is over, whose contexts the teacher is calibrated on.
        """
        if self.asking.at_once and self.asked:
            self.request([c for c in dict.fromkeys(contexts) if c not in self.answers][: self._budget()])

    def request(self, contexts: Sequence[str]) -> None:
        """Asks about the contexts within the round's budget.

        Answers of a remote teacher, or of one that works beside the student, are not waited for: :meth:`collect` takes
        them up, and until then nothing else is requested, so that no queue grows.
        """
        if not contexts:
            return
        self.requested += len(contexts)
        if self.teacher.remote or self.asking.beside:
            self.waiting_for = tuple(contexts)
        else:
            self._take(contexts, self._answer(self._calibrating(contexts)))
            self._answered += contexts

    def collect(self) -> None:
        """Takes up the answers that were not waited for, or takes note that the teacher could not answer.

        Those of a remote teacher only if they have come; those of one that works beside the student are waited for now,
        so that a run can be repeated.
        """
        if self._waiting is not None and (self.asking.beside or self._waiting.reply.done()):
            contexts, reply = self._waiting.contexts, self._waiting.reply
            self._waiting = None
            with self._noting_silence():
                self._take(contexts, reply.result())
                self._answered += contexts

    def wait(self) -> None:
        """Waits until the teacher has answered what it was requested, so that somebody else can ask it."""
        if self._waiting is not None:
            self._waiting.reply.exception()

    def fail(self, failure: Failure) -> None:
        """Takes note of something that the teacher could not do."""
        self._failures.append(failure)

    def fell_silent(self, error: SilentTeacherError) -> None:
        """Takes note that the teacher does not answer; it is left alone for a while."""
        self.breaker.failed()
        self.fail(Failure(error.kind, str(error)))

    def failures(self) -> list[Failure]:
        """Returns what the teacher could not do since this was last called."""
        failures, self._failures = self._failures, []
        return failures

    @contextmanager
    def _noting_silence(self) -> Iterator[None]:
        try:
            yield
        except SilentTeacherError as error:
            self.fell_silent(error)
        else:
            self.breaker.answered()

    def tell(self) -> None:
        """Tells a teacher that listens what came of its advice."""
        if self.teacher.listens:
            questions = [self.task.question(context) for context in self.answers]
            self.teacher.hear(self.trust.value, {question: self.memory.feedback(question) for question in questions})

    def taken_up(self) -> list[str]:
        """Ends the round's asking; returns the contexts that were requested and whose answers came in this round."""
        answered, self._answered, self.requested = self._answered, [], 0
        return answered

    def ask(self, contexts: Sequence[str]) -> None:
        """Asks the teacher about the contexts, waits for the answers and remembers them."""
        if contexts:
            self.wait()
            self._take(contexts, self._answer(self._request(contexts)))

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Counts the time and the tokens inside as the teacher's, but not those of what it answers meanwhile."""
        began, tokens = time.perf_counter(), self.teacher.tokens
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - began
            if self._waiting is None:
                self.tokens += self.teacher.tokens - tokens

    def consultation(self, round_number: int, context: str) -> Consultation:
        """Returns the row of the ledger for a context that has been asked."""
        question, answer = self.task.question(context), self.answers[context]
        return Consultation(
            round=round_number,
            question=question,
            raw_O=softmax(answer.scores_O),
            calibrated_O=answer.own_O,
            revised_O=self.revised(context),
            feedback=self.memory.feedback(question),
            trust=self.trust.of(context),
            teacher_version=answer.version,
        )

    def settle(self, contexts: Sequence[str]) -> None:
        """After a lesson: what was taught stays in the remembered advice, and its feedback is forgotten."""
        for context in contexts:
            self.answers[context] = replace(self.answers[context], advice_O=self.revised(context))
        self.memory.forget(list(contexts))
        self.refresh()

    def forget_outdated(self) -> None:
        """Forgets what an earlier version of the teacher said."""
        version = self.teacher.version
        self.answers = {context: answer for context, answer in self.answers.items() if answer.version == version}
        self.refresh()

    @property
    def _prompts(self) -> bool:
        """Whether the student's feedback is written into the teacher's prompt."""
        return bool(self.depth) and (self.dialogue.channel != "reweight" or self.dialogue.examples > 0)

    def _request(self, contexts: Sequence[str]) -> Request:
        questions = [self.task.question(context) for context in contexts]
        return Request(questions, self._prompted(questions) if self._prompts else [], references=[])

    def _prompted(self, questions: list[Question]) -> list[Question]:
        """Returns questions as they are asked once more: with what was tried there, and examples of what helped."""
        prompted = questions
        if self.dialogue.channel != "reweight":
            prompted = [with_feedback(question, self.memory.feedback(question)) for question in questions]
        if not self.dialogue.examples:
            return prompted
        tried = map(self.task.question, self.memory.sums.most_counted(least=1.0)[:EXAMPLE_CONTEXTS])
        measured = [(question, self.memory.feedback(question).advantage_O) for question in tried]
        gained = [(set(split(example[0].context)), example) for example in measured if example[1].max() > 0]
        return [
            with_examples(asked, self._most_alike(question.context, gained), self.task.cue)
            for question, asked in zip(questions, prompted, strict=True)
        ]

    def _most_alike(self, context: str, examples: list[tuple[set[str], Example]]) -> list[Example]:
        """Returns the examples, given with their words, that are most like a context and not of it."""
        words = set(split(context))
        others = [(likeness(told, words), example) for told, example in examples if example[0].context != context]
        return [example for _, example in heapq.nlargest(self.dialogue.examples, others, key=lambda other: other[0])]

    def _calibrating(self, contexts: Sequence[str]) -> Request:
        """Returns a request for training, the first of which calibrates the teacher.

        It is calibrated on what was met most, whether that is asked or not: on the few contexts of a small budget it
        would be calibrated badly. So is one that was taught in an earlier run: how often an option is likely whatever
        is asked depends on what is asked, and a bias from other contexts outweighs what the teacher knows (lab notes).
        """
        request = self._request(contexts)
        if self.asked:
            return request
        references = self.task.references(self.met.most_counted(least=0.0)[:REFERENCE_CONTEXTS])
        return replace(request, references=[self.task.question(context) for context in references])

    def _answer(self, request: Request) -> Reply:
        """Asks the teacher, and once more with what the student says; touches nothing of the adviser's."""
        began, tokens = time.perf_counter(), self.teacher.tokens
        if request.references:
            self.teacher.calibrate(request.references)
        scores = self.teacher.score(request.questions)
        own = self.teacher.advice(request.questions, scores)
        advice = own
        if request.prompted:
            advice = self.teacher.advice(request.prompted, self.teacher.score(request.prompted))
        answers = [Answer(*each, self.teacher.version) for each in zip(scores, own, advice, strict=True)]
        return Reply(answers, bool(request.references), time.perf_counter() - began, self.teacher.tokens - tokens)

    def _take(self, contexts: Sequence[str], reply: Reply) -> None:
        if reply.calibrated:
            self._recalibrate()
        self.asked += len(contexts)
        self.seconds += reply.seconds
        self.tokens += reply.tokens
        for context, answer in zip(contexts, reply.answers, strict=True):
            self.answers[context] = answer
            self._guidance.pop(context, None)

    def _recalibrate(self) -> None:
        """Makes of every remembered answer what the teacher, calibrated anew, makes of the same scores."""
        questions = [self.task.question(context) for context in self.answers]
        own = self.teacher.advice(questions, [answer.scores_O for answer in self.answers.values()])
        for context, own_O in zip(self.answers, own, strict=True):
            self.answers[context] = replace(self.answers[context], own_O=own_O, advice_O=own_O)
        self._guidance.clear()

    def _compute(self, context: str) -> Guidance | None:
        if context not in self.answers:
            return None
        question = self.task.question(context)
        return Guidance(*self._per_action(question, self.revised(context)), self.trust.of(context))

    def _guide_state(self, context: str, env: gym.Env[Any, Any]) -> Guidance:
        question = self.task.question(context)
        advice_O = self._revise(question, softmax(self.teacher.score_state(env, question)))
        return Guidance(*self._per_action(question, advice_O), self.trust.of(context))

    def _per_action(self, question: Question, advice_O: FloatArray) -> tuple[FloatArray, FloatArray]:
        return per_action(question, advice_O, len(self.task.actions))

    def _revise(self, question: Question, advice_O: FloatArray) -> FloatArray:
        depth = 0 if self.dialogue.channel == "prompt" else self.depth
        advantage_O = self.memory.feedback(question).advantage_O
        return revise(advice_O, advantage_O, depth, self.dialogue.beta, self.dialogue.clip)

    def _uncertainty(self, context: str) -> float:
        answer = self.answers.get(context)
        if answer is None:
            return 1.0
        if answer.version == self.teacher.version and not self._prompts:
            return 0.0
        if len(answer.advice_O) == 1:
            return 0.0
        entropy = -float((answer.advice_O * np.log(np.maximum(answer.advice_O, 1e-12))).sum())
        return entropy / float(np.log(len(answer.advice_O)))

    def _budget(self) -> int:
        """Returns how many contexts may still be asked in this round."""
        if self.teacher.privileged or self._waiting is not None:
            return 0
        if not self.asking.share or not self.asked:
            budget = max(0, self.asking.per_round - self.requested)
            # a teacher is not calibrated on the one question with which it would be tried
            return self.breaker.most(budget) if self.asked else budget * self.breaker.most(1)
        owed = self.asking.share * self.elapsed - self.seconds
        return self.breaker.most(max(0, int(owed * self.asked / self.seconds)))
