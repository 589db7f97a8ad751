"""A run from configuration to summary."""

import shutil
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from cotutor.adviser import Adviser
from cotutor.attach import attach
from cotutor.config import TrainConfig, validate
from cotutor.errors import SilentTeacherError, UserError
from cotutor.evaluation import Actor, bot_agreement, evaluate, student_actor, success, teacher_actor
from cotutor.hardware import accelerator
from cotutor.loop import Loop, RoundReport
from cotutor.plans.manager import make_manager
from cotutor.plans.plan import Plan, PlannedEnv, PlannedVecEnv
from cotutor.plans.worker import Pursuits, Worker
from cotutor.replays import record, write_replays
from cotutor.rivals import make_rival
from cotutor.runs import folder as runs
from cotutor.runs.checkpoint import Checkpoint, Checkpoints, read_latest
from cotutor.runs.folder import RunFolder
from cotutor.runs.ledger import Ledger
from cotutor.runs.lock import only_one
from cotutor.runs.progress import Glance, ProgressDisplay
from cotutor.runs.stopping import stoppable
from cotutor.runs.summary import SuccessWindow, Summary
from cotutor.stateful import Stateful
from cotutor.students.policies import GuidedPolicy
from cotutor.students.ppo import make_envs, make_ppo, rehearsed_first
from cotutor.tasks import make_task
from cotutor.tasks.babyai import BabyAI
from cotutor.tasks.base import HELD_OUT_SEED, Task
from cotutor.tasks.check import agreement_states, ceiling
from cotutor.teachers import ME
from cotutor.teachers.base import Teacher

if TYPE_CHECKING:
    from cotutor.rivals.language_policy import LanguageRounds

TRIALS_SHOWN = 32
CURVE_CONTEXTS = 64
SEEDS_OF_A_RUN = 1_000_000
"""Seeds between those of a run and those of the one that goes on from it."""


@dataclass(frozen=True)
class Pair:
    """A student, and the loop that ties it to its teacher if the method has one.

    Attributes:
        task: What they learn.
        model: The student.
        loop: The rounds, with the adviser that they are about.
        language: The rounds of a language model that is the student itself.
        worker: The student at the low level, where ``model`` plans.
        rehearsing: How many of the model's environments, the first ones, practise other tasks.
        has_teacher: False where the adviser of ``loop`` only stands in for one, so that there can be plans.
    """

    task: Task
    model: PPO
    loop: Loop | None
    language: "LanguageRounds | None" = None
    worker: Worker | None = None
    rehearsing: int = 0
    has_teacher: bool = True

    @property
    def adviser(self) -> Adviser | None:
        """The teacher with memory and trust."""
        return None if self.loop is None else self.loop.adviser

    @property
    def teacher(self) -> Teacher | None:
        """The teacher, or the language model that is the student itself."""
        source = self.adviser or self.language
        return None if source is None or not self.has_teacher else source.teacher

    @property
    def student(self) -> BasePolicy:
        """The student that acts alone."""
        return self.model.policy if self.loop is None else self.loop.student

    @property
    def working(self) -> BasePolicy | None:
        """The policy that pursues subgoals, where there are plans."""
        return None if self.worker is None else self.worker.ppo.policy

    @property
    def alone(self) -> Actor:
        """How the student acts alone."""
        return student_actor(self.student) if self.language is None else self.language.actor

    @property
    def actor(self) -> Actor:
        """How the pair acts when training is over; without a teacher it is the student alone."""
        return self.alone if self.loop is None or not self.has_teacher else self.loop.actor

    def actors(self, task: Task) -> dict[str, Actor]:
        """Who can act in a task when training is over, by name.

        They are the ``"pair"`` and, without it, the ``"student"`` and the ``"teacher"``; if that was taught, also as it
        was ``"untaught"``. Where nobody teaches there is the student only.
        """
        actors = {"student": self.alone}
        if self.adviser is not None and self.has_teacher:
            actors = {"pair": self.actor, **actors}
        if self.teacher is not None:
            actors["teacher"] = teacher_actor(task, self.teacher)
            if self.teacher.version > 0:
                actors["untaught"] = teacher_actor(task, self.teacher, untaught=True)
        return actors

    @property
    def envs(self) -> VecEnv:
        """The environments in which it learns."""
        envs = self.model.get_env()
        assert envs is not None
        return envs

    def close(self) -> None:
        """Ends what environments and teacher keep going."""
        self.envs.close()
        if self.teacher is not None:
            self.teacher.close()


def build(config: TrainConfig) -> Pair:
    """Makes the pair that a configuration describes; its weights are those of the start.

    Raises:
        UserError: The configuration is out of range or names something unknown.
    """
    validate(config)
    if config.threads:
        torch.set_num_threads(config.threads)
    task = _task(config, config.task)
    if config.rehearse and (config.arrows.rival is not None or config.arrows.language_policy):
        raise UserError(f"The method {config.method} cannot rehearse: leave out --rehearse.")
    elsewhere = config.ray.env_actors or config.ray.teacher_actors
    if elsewhere and (config.plans.enabled or config.arrows.language_policy):
        raise UserError("Plans, and a language model as the student, are in this process: leave out --ray.*-actors.")
    if config.plans.enabled:
        return _build_planned(task, config)
    if config.arrows.language_policy:
        # transformers and peft take seconds to import, which other methods without a language model should not cost
        from cotutor.rivals.language_policy import LanguageRounds, make_language_ppo  # noqa: PLC0415

        model = make_language_ppo(task, make_envs(task, config.student, config.llm_policy.envs), config)
        return Pair(task, model, None, LanguageRounds(model))
    rehearsed = _rehearsed(config, task)
    envs = make_envs(task, config.student, config.ppo.envs, rehearsed, config.ray)
    if not config.arrows.teacher:
        return Pair(task, make_ppo(envs, config), None, rehearsing=len(rehearsed))
    if config.arrows.rival is not None:
        return Pair(task, *make_rival(config.arrows.rival, envs, task, config))
    guide, loop = attach(envs, task, config, len(rehearsed))
    return Pair(task, make_ppo(guide, config, GuidedPolicy), loop, rehearsing=len(rehearsed))


def _build_planned(task: Task, config: TrainConfig) -> Pair:
    if not isinstance(task, BabyAI) or config.arrows.rival is not None or config.arrows.language_policy:
        raise UserError(
            "Plans are for levels of BabyAI, and for the methods ppo, one-way, realtime, lasting and mutual."
        )
    if config.shots:
        raise UserError("Worked examples of plans are not there yet: leave out --shots.")
    worker = Worker(task, config)
    plan = Plan(task, worker, config.plans)
    earlier = [_planned(each, plan) for each in _rehearsed(config, task)]
    plans = rehearsed_first(earlier, plan, config.ppo.envs)
    envs = VecMonitor(PlannedVecEnv([partial(PlannedEnv, each, learning=True) for each in plans]))
    has_teacher = config.arrows.teacher
    if not has_teacher:
        config = replace(config, method="one-way", teacher="uniform")
    guide, loop = attach(envs, plan, config, len(earlier))
    manager = make_manager(guide, plan, config)
    return Pair(plan, manager, loop, worker=worker, rehearsing=len(earlier), has_teacher=has_teacher)


def _task(config: TrainConfig, name: str) -> Task:
    words = config.verbalizer
    memory = words.memory or config.plans.enabled
    return make_task(name, positions=words.positions, focus=words.focus, memory=memory)


def _rehearsed(config: TrainConfig, task: Task) -> list[Task]:
    """Returns a task for each environment that rehearses: the latest learnt, in turn; at least one learns the new one.

    Raises:
        UserError: One of them is not observed like ``task``.
    """
    count = min(max(1, round(config.rehearsal * config.ppo.envs)), config.ppo.envs - 1) if config.rehearsal else 0
    latest_first = dict.fromkeys(reversed(config.rehearse))
    tasks = [_of_its_kind(config, name, task) for name in islice(latest_first, count)]
    return list(islice(cycle(tasks), count)) if tasks else []


def _of_its_kind(config: TrainConfig, name: str, task: Task) -> Task:
    """Returns the task called ``name``, in which the student must be able to act as it does in ``task``.

    Raises:
        UserError: There is none, or it has other observations or actions.
    """
    other = _task(config, name)
    theirs, ours = other.spoken(config.student), task.spoken(config.student)
    if theirs.observation_space != ours.observation_space or theirs.action_space != ours.action_space:
        raise UserError(f"The task {name} is not observed like {config.task}: choose one of its kind.")
    return other


def _planned(task: Task, plan: Plan) -> Plan:
    """Returns plans for another level, pursued by the same worker."""
    return Plan(cast(BabyAI, task), plan.worker, plan.config)


class Recorder(BaseCallback, Stateful):
    """Writes episodes and rounds into the ledger and shows progress.

    Args:
        ledger: Where to write.
        display: Where to show.
        enough: Success over the last 100 episodes at which training ends; 0 for none.
        rehearsing: How many environments, the first ones, rehearse other tasks; their episodes are left out.
        teacher_agreement: Measures the teacher's agreement with the bot, and the seconds that takes; None for none.
    """

    changes = ("measured_version", "round", "failures", "window", "without_advice", "seconds")

    def __init__(
        self,
        ledger: Ledger,
        display: ProgressDisplay,
        enough: float = 0.0,
        rehearsing: int = 0,
        teacher_agreement=None,
    ) -> None:
        super().__init__()
        self.rehearsing = rehearsing
        self.ledger = ledger
        self.display = display
        self.enough = enough
        self.teacher_agreement = teacher_agreement
        self.measured_version = -1
        self.round = 0
        self.failures = 0
        self.report: RoundReport | None = None
        self.window = SuccessWindow()
        self.without_advice: deque[bool] = deque(maxlen=TRIALS_SHOWN)
        self.measuring_seconds = 0.0
        self.began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds of training so far; measuring the teacher is left out."""
        return time.perf_counter() - self.began - self.measuring_seconds

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self.began = time.perf_counter() - self.measuring_seconds - seconds

    def keep(self, report: RoundReport) -> None:
        """Takes the loop's report of the round that is about to be recorded."""
        self.report = report
        self.failures += len(report.failures)

    def _on_step(self) -> bool:
        for info in self.locals["infos"][self.rehearsing :]:
            if "episode" in info:
                self._episode(info)
        return not (self.enough and self.window.reaches(self.enough))

    def _episode(self, info) -> None:
        success, trial = bool(info["is_success"]), bool(info.get("trial", False))
        self.ledger.add_episode(self.num_timesteps, trial, info["episode"]["r"], info["episode"]["l"], success)
        if not info.get("with_prior", False):
            self.without_advice.append(success)
        if not trial:
            self.window.add(self.num_timesteps, success)

    def _on_rollout_end(self) -> None:
        report, success = self.report, self.window.success
        self.ledger.add_round(report, self.round, self.num_timesteps, self.seconds, success, self._agreement())
        self.display.show(
            Glance(
                frames=self.num_timesteps,
                success=success,
                without_advice=float(np.mean(self.without_advice)) if self.without_advice else None,
                trust=report.trust if report else None,
                teacher_share=report.teacher_seconds / self.seconds if report else None,
                asked=report.asked if report else 0,
                silent=report.silent if report else False,
            )
        )
        if success is not None:
            self.logger.record("cotutor/pair_success", success)
        if report is not None:
            for name in ("trust", "gain", "asked", "teacher_seconds", "teacher_updates"):
                self.logger.record(f"cotutor/{name}", getattr(report, name))
            if report.lesson_loss is not None:
                self.logger.record("cotutor/lesson_loss", report.lesson_loss)
        self.round += 1

    def _agreement(self) -> float | None:
        if self.teacher_agreement is None or self.report is None or not self.report.asked:
            return None
        if self.report.teacher_updates == self.measured_version:
            return None
        self.measured_version = self.report.teacher_updates
        agreement, seconds = self.teacher_agreement()
        self.measuring_seconds += seconds
        return agreement


def train(config: TrainConfig, console: Console) -> tuple[RunFolder, Summary]:
    """Trains, evaluates and writes the run's folder.

    Raises:
        UserError: The configuration is out of range, names something unknown, or its folder exists.
        Stopped: Ctrl-C or SIGTERM came; there is a checkpoint.
    """
    runs.ensure_free(config)
    run = prepare(config)
    folder = runs.create(config)
    with only_one(folder.path, "run"), closing(run.pair):
        return carry_out(run, folder, None, console)


def resume(path: Path, console: Console) -> tuple[RunFolder, Summary]:
    """Goes on with a run that was killed or stopped, from its last checkpoint, and ends as it would have ended.

    Args:
        path: The run's folder.
        console: Where to show progress.

    Raises:
        UserError: It is not the folder of such a run, another process is at work there, or it cannot go on.
        Stopped: As in :func:`train`.
    """
    folder, config = runs.open_unfinished(path)
    with only_one(folder.path, "run"):
        run = prepare(config)
        checkpoint = read_latest(folder, lambda words: console.print(escape(words), highlight=False, soft_wrap=True))
        if checkpoint is None:
            console.print("There is no checkpoint: the run begins again.", highlight=False)
            folder.ledger.unlink(missing_ok=True)
        with closing(run.pair):
            return carry_out(run, folder, checkpoint, console)


@dataclass(frozen=True)
class Prepared:
    """A run that can begin.

    Attributes:
        config: Its configuration.
        pair: Who learns.
        runs_before: How many runs it goes on from, one after the other.
        transfer: Other tasks to be measured on, by name.
        states: States on which teacher and bot are compared.
    """

    config: TrainConfig
    pair: Pair
    runs_before: int
    transfer: dict[str, Task]
    states: list[tuple[str, frozenset[int]]]


def prepare(config: TrainConfig) -> Prepared:
    """Makes what a run needs, and writes nothing.

    Raises:
        UserError: The configuration is out of range or names something unknown.
    """
    pair = build(config)
    runs_before = 0 if config.start is None else go_on(config, config.start, pair)
    transfer = {name: another_task(config, pair, name) for name in config.transfer}
    states = agreement_states(pair.task, config.agreement_states, seed=0) if _measurable(pair) else []
    return Prepared(config, pair, runs_before, transfer, states)


def carry_out(
    run: Prepared, folder: RunFolder, checkpoint: Checkpoint | None, console: Console
) -> tuple[RunFolder, Summary]:
    """Trains from a checkpoint, or from the beginning, evaluates, and completes the run's folder."""
    config, pair = run.config, run.pair
    ledger = Ledger(folder.ledger, config.ledger_rows)
    try:
        with ProgressDisplay(console, config.frames, live=config.teacher != ME) as display:
            recorder = Recorder(ledger, display, config.enough, pair.rehearsing, _agreement_curve(pair, run.states))
            rounds = pair.loop or pair.language
            changing = {"recorder": recorder, "rounds": rounds, "worker": pair.worker}
            parts = {name: part for name, part in changing.items() if part is not None}
            callbacks: list[BaseCallback] = []
            if pair.worker is not None:
                callbacks.append(Pursuits(pair.worker))
            if rounds is not None:
                rounds.on_round = recorder.keep
                callbacks.append(rounds)
            callbacks.append(recorder)
            if pair.loop is not None:
                pair.loop.on_graduation = partial(display.say, "The student learns what the pair does, to act alone.")
            teacher = None if pair.adviser is None else pair.adviser.teacher
            pair.model.set_logger(Logger(str(folder.path), [TensorBoardOutputFormat(str(folder.path))]))
            with stoppable(display.say) as stop:
                callbacks.append(
                    Checkpoints(folder, parts, teacher, ledger, config.checkpoint_seconds, checkpoint, stop)
                )
                pair.model.learn(config.frames, callback=CallbackList(callbacks))
            cost = _cost(pair, recorder)
    finally:
        ledger.close()
        pair.envs.close()
    if pair.adviser is not None:
        pair.adviser.tell()
        pair.adviser.teacher.rest()
    with runs.writing(folder.path):
        # before anything is measured, which asks about contexts that training never met
        runs.save_student(folder, pair.model.policy, pair.student, pair.working)
        if pair.adviser is not None:
            runs.save_dialogue(folder, pair.adviser)
    with console.status("measuring what pair, student and teacher can do on held-out episodes"), _going_on(folder):
        summary = _summarise(run, recorder, cost)
        replays = record(pair, config.student, config.replays, HELD_OUT_SEED)
    with runs.writing(folder.path):
        write_replays(folder.replays, replays)
        runs.write_summary(folder, summary)
    shutil.rmtree(folder.checkpoints, ignore_errors=True)
    return folder, summary


@contextmanager
def _going_on(folder: RunFolder) -> Iterator[None]:
    """Says how a run goes on whose teacher cannot be measured because it does not answer."""
    try:
        yield
    except SilentTeacherError as error:
        raise UserError(f"{error} When it answers, this goes on: cotutor resume {folder.path}") from error


def _measurable(pair: Pair) -> bool:
    return pair.task.has_expert and pair.teacher is not None and not pair.teacher.privileged and pair.worker is None


def _agreement_curve(pair: Pair, states):
    teacher = pair.teacher
    if teacher is None or not states or not teacher.can_learn:
        return None
    few = set(list(dict.fromkeys(context for context, _ in states))[:CURVE_CONTEXTS])
    kept = [state for state in states if state[0] in few]

    def measure() -> tuple[float, float]:
        if pair.adviser is not None:
            pair.adviser.wait()
        began = time.perf_counter()
        return bot_agreement(pair.task, teacher, kept), time.perf_counter() - began

    return measure


def _cost(pair: Pair, recorder: Recorder) -> dict[str, Any]:
    """Returns the summary's fields of what training cost; evaluations, which come later, ask the teacher too."""
    source = pair.adviser or pair.language
    return {
        "accelerator": accelerator(),
        "wall_seconds": round(recorder.seconds, 2),
        "teacher_seconds": None if source is None else round(source.seconds, 2),
        "contexts_asked": None if source is None else source.asked,
        "teacher_tokens": None if source is None else source.tokens,
        "distinct_contexts": None if source is None else source.distinct,
        "teacher_failures": recorder.failures + (0 if pair.adviser is None else len(pair.adviser.failures())),
        "shortened_contexts": 0 if pair.adviser is None else pair.adviser.shortened_contexts,
    }


def _summarise(run: Prepared, recorder: Recorder, cost: dict[str, Any]) -> Summary:
    config, pair, states = run.config, run.pair, run.states
    task, adviser = pair.task, pair.adviser
    remote = adviser is not None and adviser.teacher.remote
    actors = pair.actors(task)
    alone = evaluate(task, config.student, actors["student"], config.eval_episodes)
    together = evaluate(task, config.student, actors["pair"], config.eval_episodes) if "pair" in actors else alone
    teacher_fields: dict[str, Any] = {
        "teacher": None,
        "teacher_updates": None,
        "teacher_success_before": None,
        "teacher_success_after": None,
        "bot_agreement_before": None,
        "bot_agreement_after": None,
        "agreement_ceiling": None,
        "trust": None if pair.loop is None else pair.loop.trust,
    }
    if pair.teacher is not None:
        after = success(task, config.student, actors["teacher"], config.teacher_eval_episodes)
        before = after
        if "untaught" in actors:
            before = success(task, config.student, actors["untaught"], config.teacher_eval_episodes)
        teacher_fields |= {
            "teacher": config.teacher,
            "teacher_updates": pair.teacher.version,
            "teacher_success_before": before,
            "teacher_success_after": after,
        }
        if states:
            teacher_fields["agreement_ceiling"] = ceiling(states)
            teacher_fields["bot_agreement_before"] = bot_agreement(task, pair.teacher, states, untaught=True)
            teacher_fields["bot_agreement_after"] = bot_agreement(task, pair.teacher, states)
    return Summary(
        task=config.task,
        method=config.method,
        student=config.student,
        seed=config.seed,
        frames=pair.model.num_timesteps,
        rounds=recorder.round,
        **cost,
        pair_success=together.success,
        pair_success_greedy=together.greedy_success,
        pair_return=together.mean_return,
        student_success=alone.success,
        student_success_greedy=alone.greedy_success,
        student_return=alone.mean_return,
        eval_episodes=config.eval_episodes,
        frames_to_success=recorder.window.frames_to,
        repeatable=not (config.arrows.teacher and (config.asking.share > 0 or remote)),
        **teacher_fields,
        transfer={name: _measure_transfer(config, pair, other) for name, other in run.transfer.items()},
        runs_before=run.runs_before,
    )


def go_on(config: TrainConfig, start: Path, pair: Pair) -> int:
    """Reads what a finished run learnt into a pair of the same kind, and returns how many runs came before it.

    The environments are seeded anew, or the run would meet the same levels as the one before in the same order.
    """
    if config.arrows.rival is not None or config.arrows.language_policy:
        raise UserError(f"A run of {config.method} cannot go on from another: leave out --start.")
    folder, before = runs.open_run(start)
    for name in ("method", "teacher", "student", "plans", "verbalizer"):
        if getattr(config, name) != getattr(before, name):
            raise UserError(f"A run cannot go on from {start}, whose {name} was another: give it the same.")
    if bool(config.served.weights) != bool(before.served.weights):
        raise UserError(f"A run cannot go on from {start}, whose teacher took lessons or not: see --served.weights.")
    runs.load_pair(folder, pair.model.policy, pair.working)
    if pair.adviser is not None:
        runs.load_dialogue(folder, pair.adviser)
        pair.adviser.forget_outdated()
    runs_before = runs.read_summary(folder).runs_before + 1
    pair.envs.seed(config.seed + SEEDS_OF_A_RUN * runs_before)
    return runs_before


def another_task(config: TrainConfig, pair: Pair, name: str) -> Task:
    """Returns another task for a finished pair, at the level at which it acts.

    Raises:
        UserError: There is no such task, or the student cannot read it.
    """
    if not isinstance(pair.task, Plan):
        other = _of_its_kind(config, name, pair.task)
    else:
        other = _planned(_of_its_kind(config, name, pair.task.world), pair.task)
    if pair.teacher is not None and pair.teacher.privileged and not other.has_expert:
        raise UserError(f"The teacher {config.teacher} knows nothing of {name}, which has no bot: choose another task.")
    return other


def _measure_transfer(config: TrainConfig, pair: Pair, task: Task) -> dict[str, float]:
    """Returns how the finished pair does on another task, nothing of which was ever taught."""
    measured = {}
    for name, actor in pair.actors(task).items():
        episodes = config.teacher_eval_episodes if name in ("teacher", "untaught") else config.eval_episodes
        measured[name] = success(task, config.student, actor, episodes)
    measured.setdefault("pair", measured["student"])
    if pair.teacher is not None and _measurable(pair):
        states = agreement_states(task, config.agreement_states)
        measured["bot_agreement"] = bot_agreement(task, pair.teacher, states)
    return measured
