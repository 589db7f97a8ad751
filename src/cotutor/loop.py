"""The algorithm: a round of mutual teaching, as a callback of Stable-Baselines3.

1. collect            PPO acts; the prior in the observation carries the advice
2. judge              what was the advice worth, on feedback that it has not seen?
3. student → teacher  visits and advantages go into the feedback memory
4. student → teacher, lastingly: every few rounds the teacher is fine-tuned on lessons
5. dialogue           the teacher is asked within its budget; feedback revises what it says
6. teacher → student  PPO learns with the prior

At last both learn what the pair does: the teacher by lessons, and a graduate of the student's, who acts alone.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy

from cotutor.adviser import Adviser
from cotutor.config import TrainConfig
from cotutor.errors import LessonError, SilentTeacherError
from cotutor.evaluation import Actor, pair_actor, student_actor
from cotutor.lessons import make_habit_lessons, make_lessons, news, plan_lessons
from cotutor.memory import AdvantageScale
from cotutor.stateful import Stateful
from cotutor.students.distillation import Distillation, States
from cotutor.students.guidance import GuidedVecEnv
from cotutor.students.learners import flat, make_learner
from cotutor.students.policies import PRIOR, among_offered, policy_probabilities
from cotutor.trust import Ended, gains
from cotutor.types import Consultation, Failure, FloatArray


@dataclass(frozen=True, slots=True)
class Rollout:
    """A finished rollout of N = steps x environments, as the loop reads it.

    Attributes:
        buffer: It, as Stable-Baselines3 keeps it.
        contexts: The context of each step.
        actions_N: The actions taken.
        advantages_N: GAE, in units of return.
        rewards_N: What the environment paid.
        observations: The observations by name, shape (N, ...), with the prior that acted.
        log_advice_NA: The unweighted log-advice at hand.
        trial_N: Whether the step belongs to an episode of the trial.
        chance_N: With what probability its episode was drawn to act with the prior.
        episode_N: Number of the episode.
        judged_N: Whether the step is of the task that is learnt, not of one that is rehearsed.
        ended: The episodes that ended.
    """

    buffer: DictRolloutBuffer
    contexts: list[str]
    actions_N: NDArray[np.int64]
    advantages_N: FloatArray
    rewards_N: FloatArray
    observations: dict[str, NDArray[Any]]
    log_advice_NA: FloatArray
    trial_N: NDArray[np.bool_]
    chance_N: FloatArray
    episode_N: NDArray[np.int64]
    judged_N: NDArray[np.bool_]
    ended: list[Ended]


@dataclass(frozen=True, slots=True)
class RoundReport:
    """What happened in a round, for progress, ledger and report.

    Attributes:
        round: Number of the round, from 0.
        frames: Environment steps so far.
        trust: Trust over all contexts, None where the method does not measure it.
        gain: Mean gain per step of following the advice, in units of the running scale, None likewise.
        asked: Contexts asked so far.
        teacher_seconds: Seconds that the teacher took so far, lessons included.
        teacher_updates: Teacher updates so far.
        lesson_loss: Loss of this round's lessons, None without any.
        distillation_loss: Loss of the last distillation, None without any; with the prior it comes when all is over.
        consultations: Questions put in this round.
        failures: What the teacher could not do since the last report.
        silent: Whether it did not answer when it was last asked.
    """

    round: int
    frames: int
    trust: float | None
    gain: float | None
    asked: int
    teacher_seconds: float
    teacher_updates: int
    lesson_loss: float | None
    distillation_loss: float | None
    consultations: list[Consultation]
    failures: list[Failure] = field(default_factory=list)
    silent: bool = False


class Loop(BaseCallback, Stateful):
    """Lets teacher and student teach each other while ``model.learn`` runs.

    Args:
        adviser: The teacher with its memory and trust.
        guide: The environment that carries the advice; the model must learn on it.
        config: The run.
        on_round: Called with a report at the end of every round.
        on_graduation: Called when training is over and what the pair does begins to be learnt.
    """

    changes = ("adviser", "scale", "round", "distillation", "distillation_loss")

    def __init__(
        self,
        adviser: Adviser,
        guide: GuidedVecEnv,
        config: TrainConfig,
        on_round: Callable[[RoundReport], None] = lambda report: None,
        on_graduation: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self.adviser = adviser
        self.guide = guide
        self.config = config
        self.on_round = on_round
        self.on_graduation = on_graduation
        self.scale = AdvantageScale(config.dialogue.scale_floor)
        self.round = 0
        self.distillation_loss: float | None = None
        self.begun = False

    def _init_callback(self) -> None:
        if self.begun:
            return  # the model learns on
        self.begun = True
        guidance = self.config.guidance
        learning = self.config.plans if self.config.plans.enabled else self.config.ppo
        self.learner = make_learner(self.model, self.config)
        self.distills = guidance.distillation and self.learner.distills
        self.distillation = Distillation(
            copy.deepcopy(self.learner.policy) if guidance.prior and self.distills else self.learner.policy,
            capacity=guidance.capacity,
            learning_rate=learning.learning_rate,
            batch_size=learning.batch_size,
            seed=self.config.seed,
        )

    @property
    def student(self) -> BasePolicy:
        """The student that acts alone: the graduate where the pair acts with a prior, else the policy itself.

        What PPO learns under a prior is its residual, which is no policy of its own; and advice distilled into the
        residual would count twice and undo what PPO corrected. So the graduate is a network of its own, as of when
        ``model.learn`` last ended or :meth:`graduate` was called; before, it is the policy of the start. Values are
        learnt from what the pair did, whoever proposed it, and need none; RecurrentPPO has none, and its residual must
        do.
        """
        return self.distillation.student

    @property
    def actor(self) -> Actor:
        """How the pair acts when training is over: with the advice as prior, else like the student alone."""
        if not self.config.guidance.prior:
            return student_actor(self.student)
        return pair_actor(self.learner.policy, self.adviser)

    @property
    def trust(self) -> float | None:
        """Trust over all contexts, None where the method does not measure it."""
        return self.adviser.trust.value

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        guidance = self.config.guidance
        if self.distills and self.round and not guidance.prior:
            self.distillation_loss = self.distillation.train(self._advice_target, guidance.distillation_steps)

    def _on_training_end(self) -> None:
        if self.config.asking.beside:
            self.adviser.refresh()
        self.graduate()
        if self._graduates and self._teachable and self.config.lessons.graduation:
            self.teach_habits()

    @property
    def _graduates(self) -> bool:
        """Whether the student that acts alone is another than the policy."""
        return self.distillation.student is not self.learner.policy

    def graduate(self) -> None:
        """Makes of the policy a student that acts alone as the pair does, where that is another than the policy."""
        if self._graduates:
            self.on_graduation()
            self.distillation.begin_as(self.learner.policy)
            self.distillation.study(self._pair_target, self.config.guidance.graduation_passes)

    def _on_rollout_end(self) -> None:
        finished = self.learner.finished(self.guide.waiting)
        if finished is not None:
            self.play_round(finished)

    def play_round(self, finished: DictRolloutBuffer) -> None:
        """Plays a round of mutual teaching on the rollout that has just ended."""
        rollout = self.read_rollout(finished)
        self.judge(rollout)
        self.record(rollout)
        loss = self.teach() if self._lesson_due() else None
        self.consult()
        if self.distills:
            self.distillation.remember({**rollout.observations, PRIOR: rollout.log_advice_NA}, rollout.contexts)
        self.on_round(self._report(self.adviser.taken_up(), loss))
        self.round += 1

    def read_rollout(self, buffer: DictRolloutBuffer) -> Rollout:
        """Reads the rollout that has just ended from Stable-Baselines3's buffer and the guide's notes."""
        steps, rewards, ended = self.guide.take_steps(buffer.buffer_size)
        return Rollout(
            buffer=buffer,
            contexts=[context for step in steps for context in step.contexts],
            actions_N=flat(buffer.actions).reshape(-1).astype(np.int64),
            advantages_N=flat(buffer.advantages).astype(np.float64),
            rewards_N=flat(rewards).astype(np.float64),
            observations={name: flat(values) for name, values in buffer.observations.items()},
            log_advice_NA=np.concatenate([step.log_advice_EA for step in steps]),
            trial_N=np.concatenate([step.trial_E for step in steps]),
            chance_N=np.concatenate([step.chance_E for step in steps]),
            episode_N=np.concatenate([step.episode_E for step in steps]),
            judged_N=np.tile(np.arange(self.guide.num_envs) >= self.guide.rehearsing, len(steps)),
            ended=ended,
        )

    def says_something(self, rollout: Rollout) -> bool:
        """Tells whether a rollout is feedback.

        Until the first reward the critic knows nothing, and its noise is none. From then on a rollout without a reward
        says that what was done is worth little: left out, a teacher that turns bad would stay trusted for as long as
        nothing succeeds (lab notes).
        """
        return not self.adviser.unrewarded or rollout.rewards_N.std() > 0.0

    def judge(self, rollout: Rollout) -> None:
        """Judges the advice by a rollout that it has not seen, if that says something."""
        self.adviser.trust.add_episodes(rollout.ended)
        if not self.says_something(rollout):
            return
        self.scale.update(rollout.advantages_N)
        self.learner.rescale(self.scale.value)
        advised_N = np.flatnonzero((np.ptp(rollout.log_advice_NA, axis=1) > 0) & rollout.judged_N)
        if len(advised_N) == 0:
            return
        contexts = [rollout.contexts[n] for n in advised_N]
        tried_wholly = self.adviser.on_probation
        weights = {context: 1.0 if tried_wholly else self.adviser.trust.of(context) for context in set(contexts)}
        weight_N = np.array([weights[context] for context in contexts])
        prior_NA = weight_N[:, None] * rollout.log_advice_NA[advised_N]
        free_NA, with_prior_NA, acted_NA = self.learner.policies(
            rollout.buffer, advised_N, prior_NA, rollout.chance_N[advised_N]
        )
        self.adviser.trust.judge(
            contexts,
            gains(
                free_NA,
                with_prior_NA,
                acted_NA,
                rollout.actions_N[advised_N],
                rollout.advantages_N[advised_N] / self.scale.value,
            ),
            rollout.episode_N[advised_N],
        )

    def record(self, rollout: Rollout) -> None:
        """Gives the student's feedback to the memory, if there is any."""
        self.adviser.meet(rollout.contexts)
        if self.says_something(rollout):
            self.adviser.memory.record(rollout.contexts, rollout.actions_N, rollout.advantages_N / self.scale.value)
        self.adviser.refresh()

    def consult(self) -> None:
        """Asks the teacher about the contexts most worth asking about."""
        contexts = self.adviser.choose()
        if contexts:
            self.adviser.tell()
        self.adviser.request(contexts)

    def teach(self) -> float | None:
        """Fine-tunes the teacher on lessons, if they say news; feedback that made them is not counted again."""
        adviser, config = self.adviser, self.config.lessons
        contexts = plan_lessons(adviser, config)
        if not contexts or not self._attends():
            return None
        stale = [
            c for c in contexts if c not in adviser.answers or adviser.answers[c].version < adviser.teacher.version
        ]
        loss = None
        with self._noting_failures():
            adviser.ask(stale)
            lessons = make_lessons(adviser, contexts, config)
            if news(adviser, lessons) >= config.least_news:
                with adviser.clock():
                    loss = adviser.teacher.learn(lessons, config.steps)
                adviser.settle(contexts)
        return loss

    def teach_habits(self) -> None:
        """Fine-tunes the teacher on what the pair does of late; the pair goes on with what it was told before.

        Feedback cannot teach that: it is relative to what is usually done, so once the pair does what is right there is
        none on it (lab notes).
        """
        habits = self.distillation.habits(self._pair_target, self.config.lessons.most)
        lessons = make_habit_lessons(self.adviser.task, habits)
        if lessons and self._attends():
            with self._noting_failures(), self.adviser.clock():
                self.adviser.teacher.learn(lessons, self.config.lessons.steps)

    def _attends(self) -> bool:
        """Takes up what the teacher has answered, and tells whether it does answer."""
        self.adviser.wait()
        self.adviser.collect()
        return not self.adviser.breaker.open

    @contextmanager
    def _noting_failures(self) -> Iterator[None]:
        """Takes note of an update that would spoil the teacher and is taken back, and of a server that is silent."""
        try:
            yield
        except LessonError as error:
            self.adviser.fail(Failure("update taken back", str(error)))
        except SilentTeacherError as error:
            self.adviser.fell_silent(error)

    def _pair_target(self, states: States, contexts: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Returns what the pair would do now in remembered states, and equal weights."""
        log_advice_BA, trust_B = self.adviser.recall(contexts, states[PRIOR])
        prior = (trust_B[:, None] * log_advice_BA).astype(np.float32)
        return policy_probabilities(self.learner.policy, {**states, PRIOR: prior}), np.ones(len(contexts))

    def _advice_target(self, states: States, contexts: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Returns what is advised now in remembered states, weighted by trust."""
        log_advice_BA, trust_B = self.adviser.recall(contexts, states[PRIOR])
        return softmax(among_offered(log_advice_BA, states), axis=1), trust_B

    @property
    def _teachable(self) -> bool:
        """Whether the teacher may be taught; what was never asked is not calibrated either."""
        return self.config.arrows.lasting and self.adviser.teacher.can_learn and self.adviser.asked > 0

    def _lesson_due(self) -> bool:
        return self._teachable and (self.round + 1) % self.config.lessons.every == 0

    def _report(self, asked: list[str], loss: float | None) -> RoundReport:
        adviser = self.adviser
        return RoundReport(
            round=self.round,
            frames=self.model.num_timesteps,
            trust=self.trust,
            gain=None if self.trust is None else adviser.trust.overall.mean,
            asked=adviser.asked,
            teacher_seconds=adviser.seconds,
            teacher_updates=adviser.teacher.version,
            lesson_loss=loss,
            distillation_loss=self.distillation_loss,
            consultations=[adviser.consultation(self.round, context) for context in asked],
            failures=adviser.failures(),
            silent=adviser.breaker.open,
        )
