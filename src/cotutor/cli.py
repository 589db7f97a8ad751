"""The command ``cotutor``."""

import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cotutor.config import TrainConfig, from_values, from_yaml, merge
from cotutor.errors import UserError
from cotutor.zoo import read_zoo

if TYPE_CHECKING:
    from cotutor.runs.folder import RunFolder
    from cotutor.runs.summary import Summary

ABOUT = """A language model teaches a reinforcement learner, and the learner teaches it back.

cotutor --version says which cotutor this is."""

console = Console()


@dataclass(frozen=True)
class Resume:
    """Go on with a run that was killed or stopped, from its last checkpoint; it ends as if nothing had happened."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder."""


@dataclass(frozen=True)
class Evaluate:
    """Measure a finished run again on held-out episodes: pair, student alone, teacher alone and bot."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder."""
    episodes: int = 128
    """Held-out episodes for each of them."""
    on: str = ""
    """Another task of the same kind instead of the run's own, such as one that it was never taught."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of a table."""


@dataclass(frozen=True)
class Replay:
    """Watch the trained pair of a finished run act on held-out episodes, in the terminal or as a film."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder."""
    episodes: int | None = None
    """How many of the held-out episodes; by default those that the run kept."""
    film: Path | None = None
    """Write a film instead: a .gif, or an .mp4 (needs cotutor[video])."""
    delay: float = 0.4
    """Seconds a step."""


@dataclass(frozen=True)
class Ask:
    """Show one state of a finished run: what the teacher reads and says, before and after feedback, and the trust."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder."""
    env_seed: int = 0
    """Seed of the environment's episode."""
    step: int = 0
    """How many steps the student takes before the state is shown."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of text."""


@dataclass(frozen=True)
class Tasks:
    """List the tasks."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of text."""


@dataclass(frozen=True)
class CheckTask:
    """Try whether a task, such as one of your own, keeps the contract, and show what the teacher would read."""

    task: Annotated[str, tyro.conf.Positional]
    """Its name, as in train."""
    states: int = 1000
    """States visited by the check."""
    teacher: str = ""
    """A teacher, as in train, to show what it would advise untaught, calibrated on the contexts met most."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of text."""


@dataclass(frozen=True)
class Doctor:
    """Show what is installed, which precision and model the teacher would use, and how fast this machine is."""


@dataclass(frozen=True)
class Compare:
    """Run a recipe of tasks x methods x seeds, and write its tables and its page.

    Runs that are there already are not done again, so the same command goes on where it stopped.
    """

    recipe: Annotated[str, tyro.conf.Positional]
    """A shipped recipe's name, or a YAML file."""
    out: Path | None = None
    """Folder for what is kept: runs/*.json, README.md, report.html; by default results/RECIPE."""
    work: Path | None = None
    """Folder for the run folders; by default runs/RECIPE."""
    jobs: int = 0
    """Runs at a time; 0 for one a core."""
    ray: str = ""
    """Spread the runs over a Ray cluster: auto, local or HOST:PORT (needs cotutor[ray])."""
    tasks: tuple[str, ...] = ()
    """Only these tasks of the recipe."""
    methods: tuple[str, ...] = ()
    """Only these methods of the recipe."""
    seeds: tuple[int, ...] = ()
    """These seeds instead of the recipe's."""
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Only say what there is to do and what it will cost."""
    tables_only: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Run nothing; write tables and page from what is kept."""


@dataclass(frozen=True)
class Climb:
    """Climb a ladder of tasks, each run going on from the one before, as long as what it builds on is mastered.

    Runs that are done are not run again, so the same command goes on where it stopped.
    """

    ladder: Annotated[str, tyro.conf.Positional]
    """A shipped ladder's name, or a YAML file."""
    method: str = "mutual"
    """Who climbs: one of the ladder's methods."""
    teacher: str = ""
    """Another teacher than the method's own, as in train."""
    rungs: int | None = None
    """Stop before the rung after so many; the same command with more of them, or without it, goes on from there."""
    seed: int = 0
    """Of everything that is drawn."""
    threads: int = 0
    """CPU threads; 0 leaves it to torch: one a core, or as many as the environment's OMP_NUM_THREADS says."""
    out: Path | None = None
    """Folder for the runs; by default runs/LADDER--METHOD--SEED."""
    keep: Path | None = None
    """Folder of a comparison of climbs: runs/*.json are kept there, and README.md is made of all of them."""


@dataclass(frozen=True)
class Train(TrainConfig):
    """Let a teacher and a student teach each other, and write a run's folder.

    A YAML file of the same fields can be given with --config FILE, PPO's parameters and frames as RL Baselines3 Zoo
    writes them with --zoo FILE:ENTRY; flags take precedence over both.
    """


def main() -> None:
    """Runs the command: exit code 0 on success, 2 on bad input, 1 on a failure, 130 when interrupted."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        print(f"cotutor {version('cotutor')}")
        return
    try:
        arguments, defaults = _take_files(arguments)
        command = _parse(arguments, defaults)
        COMMANDS[type(command)](command)
    except UserError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except BrokenPipeError:
        # who reads the output has seen enough; what is still to be flushed goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as interrupt:
        if str(interrupt):
            console.print(escape(str(interrupt)), highlight=False, soft_wrap=True)
        sys.exit(130)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def _take_files(arguments: list[str]) -> tuple[list[str], TrainConfig]:
    """Takes ``--config FILE`` and ``--zoo FILE`` out of the arguments of ``train``; returns the rest and their values.

    What the configuration says takes precedence over the zoo's file.
    """
    if arguments[:1] != ["train"]:
        return arguments, TrainConfig()
    arguments, zoo = _take(arguments, "--zoo")
    arguments, config = _take(arguments, "--config")
    values, left_out = read_zoo(zoo) if zoo is not None else ({}, [])
    if left_out:
        console.print(escape(f"Left out of {zoo}: {', '.join(left_out)}."), highlight=False, soft_wrap=True)
    defaults = from_values(values)
    return arguments, from_yaml(Path(config), defaults) if config is not None else defaults


def _take(arguments: list[str], flag: str) -> tuple[list[str], str | None]:
    """Takes a flag with its value out of the arguments."""
    for i, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name != flag:
            continue
        following = arguments[i + 1 : i + 2]
        if not equals and (not following or following[0].startswith("--")):
            raise UserError(f"{flag} needs the name of a YAML file.")
        return arguments[:i] + arguments[i + (1 if equals else 2) :], value if equals else following[0]
    return arguments, None


def _parse(arguments: list[str], defaults: TrainConfig) -> "Command":
    train = Train(**{field.name: getattr(defaults, field.name) for field in fields(TrainConfig)})
    commands = (
        Annotated[Train, tyro.conf.subcommand("train", default=train)]
        | Annotated[Resume, tyro.conf.subcommand("resume")]
        | Annotated[Compare, tyro.conf.subcommand("compare")]
        | Annotated[Climb, tyro.conf.subcommand("climb")]
        | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
        | Annotated[Replay, tyro.conf.subcommand("replay")]
        | Annotated[Ask, tyro.conf.subcommand("ask")]
        | Annotated[Tasks, tyro.conf.subcommand("tasks")]
        | Annotated[CheckTask, tyro.conf.subcommand("check-task")]
        | Annotated[Doctor, tyro.conf.subcommand("doctor")]
    )
    return tyro.cli(commands, args=arguments, prog="cotutor", description=ABOUT)


def _train(command: Train) -> None:
    from cotutor.train import train  # noqa: PLC0415

    config = TrainConfig(**{field.name: getattr(command, field.name) for field in fields(TrainConfig)})
    _show(*train(config, console))


def _resume(command: Resume) -> None:
    from cotutor.report import write_report  # noqa: PLC0415
    from cotutor.runs.folder import RunFolder  # noqa: PLC0415
    from cotutor.train import resume  # noqa: PLC0415

    folder = RunFolder(command.run)
    if folder.summary.is_file() and not folder.report.is_file():
        report = write_report(command.run)
        console.print(f"The run is finished; the report is in {escape(str(report))}", highlight=False, soft_wrap=True)
        return
    _show(*resume(command.run, console))


def _show(folder: "RunFolder", summary: "Summary") -> None:
    from cotutor.report import verdict, write_report  # noqa: PLC0415

    report = write_report(folder.path)
    console.print(escape(verdict(summary)), highlight=False, soft_wrap=True)
    console.print(f"The report is in {escape(str(report))}", highlight=False, soft_wrap=True)


def _compare(command: Compare) -> None:
    from cotutor.compare.kept import read_all  # noqa: PLC0415
    from cotutor.compare.recipe import choose, load_recipe  # noqa: PLC0415
    from cotutor.compare.runner import default_jobs, in_a_process, make_plan, plan_table, run_recipe  # noqa: PLC0415
    from cotutor.compare.table import markdown  # noqa: PLC0415
    from cotutor.report.comparison import write_comparison  # noqa: PLC0415

    if command.jobs < 0:
        raise UserError(f"--jobs is {command.jobs}, but must be at least 0.")
    whole = load_recipe(command.recipe)
    chosen = choose(whole, list(command.tasks), list(command.methods), list(command.seeds))
    out = command.out or Path("results") / whole.name
    work = command.work or Path("runs") / whole.name
    jobs = command.jobs or default_jobs()
    plan = make_plan(chosen, out / "runs")
    if command.dry_run:
        table, cost = plan_table(plan, jobs)
        console.print(table)
        console.print(cost, highlight=False, soft_wrap=True)
        return
    failed = []
    if not command.tables_only:
        start = in_a_process
        if command.ray:
            from cotutor.cluster.runs import Cluster  # noqa: PLC0415

            start = Cluster(command.ray)
            jobs = command.jobs or start.jobs
        failed = run_recipe(chosen, out, work, jobs, console, start)
    runs = read_all(out / "runs")
    if command.tables_only and not runs:
        raise UserError(f"There are no runs in {out / 'runs'} to make tables of: leave out --tables-only.")
    if runs:
        command_line = f"cotutor compare {command.recipe}"
        (out / "README.md").write_text(markdown(whole, runs, command_line), encoding="utf-8")
        page = write_comparison(whole, runs, out / "report.html", command_line)
        console.print(f"The page is in {escape(str(page))}", highlight=False, soft_wrap=True)
    for cell in failed:
        console.print(f"failed: {escape(str(cell.folder(work)))}.log says why", highlight=False, soft_wrap=True)
    if failed:
        sys.exit(1)


def _climb(command: Climb) -> None:
    from cotutor.climb import climb, load_ladder, remembered  # noqa: PLC0415
    from cotutor.compare.climbs import keep_climb  # noqa: PLC0415
    from cotutor.compare.kept import file_name  # noqa: PLC0415
    from cotutor.report.climbed import TITLES, cells, verdict, write_climb  # noqa: PLC0415
    from cotutor.report.climbs import write_climbs  # noqa: PLC0415
    from cotutor.runs.lock import only_one  # noqa: PLC0415

    ladder = load_ladder(command.ladder)
    teacher = {"teacher": command.teacher} if command.teacher else {}
    own = {"seed": command.seed, "threads": command.threads, **teacher}
    settings = merge(ladder.settings_of(command.method), own)
    who = f"{command.method}, {Path(command.teacher).name}" if command.teacher else command.method
    out = command.out or Path("runs") / file_name(ladder.name, who, command.seed)
    climbs = []
    with only_one(out, "climb"):
        for climbed in climb(ladder, out, settings, console, command.rungs):
            climbs.append(climbed)
            write_climb(ladder, climbs, out, {})
            if command.keep:
                kept = keep_climb(ladder, climbs, who, settings, command.keep)
                write_climbs(ladder, kept, command.keep / "report.html")
        at_the_end = remembered(climbs, out, console)
        write_climb(ladder, climbs, out, at_the_end)
    shown = [TITLES.index(title) for title in ("rung", "frames", "time", "pair", "teacher", "mastered", "at the end")]
    table = Table(*(TITLES[column] for column in shown))
    for climbed in climbs:
        row = cells(climbed, at_the_end)
        table.add_row(*(escape(row[column]) for column in shown))
    console.print(table)
    console.print(escape(verdict(ladder, climbs)), highlight=False, soft_wrap=True)
    console.print(f"The page is in {escape(str(out / 'report.html'))}", highlight=False, soft_wrap=True)


def _evaluate(command: Evaluate) -> None:
    from cotutor.inspect import evaluate_run  # noqa: PLC0415

    outcomes = evaluate_run(command.run, command.episodes, command.on)
    if command.json:
        print(json.dumps({name: asdict(outcome) for name, outcome in outcomes.items()}, indent=2))
        return
    title = f"{command.episodes} held-out episodes" + (f" of {escape(command.on)}" if command.on else "")
    table = Table("", "success", "greedy", "return", title=title)
    for name, outcome in outcomes.items():
        table.add_row(name, f"{outcome.success:.1%}", f"{outcome.greedy_success:.1%}", f"{outcome.mean_return:.3f}")
    console.print(table)


def _replay(command: Replay) -> None:
    from cotutor.film import watch, write_film  # noqa: PLC0415
    from cotutor.inspect import replays_of_run  # noqa: PLC0415

    if command.delay <= 0:
        raise UserError(f"--delay is {command.delay}, but must be positive.")
    replays = replays_of_run(command.run, command.episodes)
    if command.film is None:
        watch(replays, console, command.delay)
        return
    write_film(replays, command.film, command.delay)
    console.print(f"The film is in {escape(str(command.film))}", highlight=False, soft_wrap=True)


def _ask(command: Ask) -> None:
    from cotutor.inspect import ask_run  # noqa: PLC0415

    inquiry = ask_run(command.run, command.env_seed, command.step)
    if command.json:
        print(json.dumps(asdict(inquiry), indent=2))
        return
    if inquiry.picture:
        console.print(inquiry.picture, markup=False, highlight=False)
    console.print(inquiry.context, markup=False, highlight=False)
    table = Table("option", "raw", "calibrated", "revised", "visits", "advantage")
    for row in inquiry.options:
        table.add_row(
            escape(row.phrase),
            f"{row.raw:.2f}",
            f"{row.calibrated:.2f}",
            f"{row.revised:.2f}",
            f"{row.visits:.1f}",
            f"{row.advantage:+.2f}",
        )
    console.print(table)
    console.print(f"trust {inquiry.trust:.2f} in this context, {inquiry.trust_overall:.2f} in all", highlight=False)
    console.print(
        "raw: what the model says; calibrated: less how likely an option is whatever is asked; revised: after the"
        " student's feedback, which is the advantage of an option over the mean here, in standard deviations, the more"
        " believed the more visits it had. Visits fade with the rounds. Trust: what following the advice has been worth"
        " to the student; none where it does as well by itself.",
        style="dim",
        highlight=False,
    )


def _tasks(command: Tasks) -> None:
    from cotutor.tasks import task_names  # noqa: PLC0415

    print(json.dumps(task_names()) if command.json else "\n".join(task_names()))


def _check_task(command: CheckTask) -> None:
    from cotutor.adviser import REFERENCE_CONTEXTS  # noqa: PLC0415
    from cotutor.tasks import make_task  # noqa: PLC0415
    from cotutor.tasks.check import SHOWN, check_task  # noqa: PLC0415
    from cotutor.tasks.contract import check_contract  # noqa: PLC0415
    from cotutor.teachers.untaught import untaught_advice  # noqa: PLC0415

    if command.states < 1:
        raise UserError(f"--states is {command.states}, but must be at least 1.")
    task = make_task(command.task)
    findings = check_contract(task, command.states)
    if not command.json:
        for finding in findings:
            mark = (
                f"[red]✗[/] {escape(finding.point)}: but " if finding.broken else f"[green]✓[/] {escape(finding.point)}"
            )
            console.print(mark + escape(finding.broken), highlight=False, soft_wrap=True)
    if broken := [finding for finding in findings if finding.broken]:
        if command.json:
            print(json.dumps({"broken": {finding.point: finding.broken for finding in broken}}, indent=2))
        raise UserError(f"The task {task.name} breaks {len(broken)} of the {len(findings)} points of the contract.")
    check = check_task(task, command.states, shown=REFERENCE_CONTEXTS if command.teacher else SHOWN)
    advice = untaught_advice(task, command.teacher, [context for context, _ in check.examples])[:SHOWN]
    check = replace(check, examples=check.examples[:SHOWN])
    if command.json:
        print(json.dumps(asdict(check) | {"broken": {}, "advice": advice}, indent=2))
        return
    ceiling = "unknown: there is no expert" if check.ceiling is None else f"{check.ceiling:.1%}"
    print(f"{check.contexts} distinct contexts in {check.states} states ({check.per_thousand:.0f} per 1,000)")
    print(f"best agreement with the expert that any map from contexts to actions can have: {ceiling}")
    print(f"by chance {check.successes} of {check.episodes} episodes succeed, {check.rewarded} earn a reward")
    if check.contexts == 1:
        print("every state reads the same, so advice cannot depend on it: let describe tell more of the observation")
    print("what the teacher reads, the most frequent first, and what it may say at the first of them:")
    for (context, count), advised in zip_longest(check.examples, advice):
        print(f"{count:5d}  {context}")
        if advised:
            best = sorted(advised.items(), key=lambda item: -item[1])[:3]
            print("       " + " · ".join(f"{phrase} {share:.0%}" for phrase, share in best))
    print(f"       {task.cue} {' | '.join(option.phrase for option in task.options(check.examples[0][0]))}")


def _doctor(command: Doctor) -> None:
    from cotutor.doctor import diagnose, show  # noqa: PLC0415

    show(diagnose(), console)


Command = Train | Resume | Compare | Climb | Evaluate | Replay | Ask | Tasks | CheckTask | Doctor
COMMANDS: dict[type, Callable] = {
    Train: _train,
    Resume: _resume,
    Compare: _compare,
    Climb: _climb,
    Evaluate: _evaluate,
    Replay: _replay,
    Ask: _ask,
    Tasks: _tasks,
    CheckTask: _check_task,
    Doctor: _doctor,
}
