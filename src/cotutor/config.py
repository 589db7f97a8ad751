"""Everything that can be set, each field described once, beside its default."""

from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from cotutor.errors import UserError
from cotutor.reading import read_yaml


@dataclass(frozen=True)
class Method:
    """Which arrows between teacher and student are switched on."""

    teacher: bool
    """The teacher advises the student."""
    realtime: bool
    """The student's feedback revises the advice at once."""
    lasting: bool
    """The student's feedback is taught to the teacher's weights."""
    rival: str | None = None
    """Module of :mod:`cotutor.rivals` that reaches the student in a way of its own, None for ours."""
    language_policy: bool = False
    """The language model is the policy, and there is no other student."""


METHODS = {
    "ppo": Method(teacher=False, realtime=False, lasting=False),
    "one-way": Method(teacher=True, realtime=False, lasting=False),
    "realtime": Method(teacher=True, realtime=True, lasting=False),
    "lasting": Method(teacher=True, realtime=False, lasting=True),
    "mutual": Method(teacher=True, realtime=True, lasting=True),
    "annealed": Method(teacher=True, realtime=False, lasting=False, rival="annealing"),
    "hints": Method(teacher=True, realtime=False, lasting=False, rival="hints"),
    "bc": Method(teacher=True, realtime=False, lasting=False, rival="cloning"),
    "llm-alone": Method(teacher=True, realtime=False, lasting=False, rival="acting"),
    "llm-policy": Method(teacher=False, realtime=False, lasting=False, language_policy=True),
}


@dataclass(frozen=True)
class PPOConfig:
    """Stable-Baselines3's PPO, the same for every method."""

    envs: int = 16
    """Environments stepped together."""
    steps: int = 64
    """Steps of each environment in a rollout; envs x steps frames make a round."""
    batch_size: int = 256
    """Frames in a gradient step."""
    epochs: int = 8
    """Passes over a rollout."""
    learning_rate: float = 7e-4
    """Of Adam, constant."""
    gamma: float = 0.95
    """Discount per step."""
    gae_lambda: float = 0.95
    """λ of generalised advantage estimation."""
    clip_range: float = 0.2
    """ε of PPO's clipped objective."""
    entropy: float = 0.01
    """Weight of the entropy bonus."""
    layer_norm: bool = False
    """Normalise the student's features, so that it can go on learning for long; the ladders do."""


@dataclass(frozen=True)
class VerbalizerConfig:
    """How a state is put into words."""

    positions: Literal["coarse", "exact"] = "coarse"
    """Places as "ahead on the left" (coarse) or "3 steps forward and 2 steps left" (exact)."""
    focus: bool = True
    """Name only what the mission needs; varied levels name all that is in view, whatever this says."""
    memory: bool = False
    """Tell what was seen earlier in the episode too, and show the student a map of it; always on with plans."""
    restate: bool = False
    """Let the teacher first say in plain words what the mission means (varied levels)."""


@dataclass(frozen=True)
class DialogueConfig:
    """Feedback and the dialogue about it."""

    depth: int = 1
    """Exchanges in a dialogue; 0 for none."""
    channel: Literal["reweight", "prompt", "both"] = "reweight"
    """Feedback re-weights the advice, is written into the teacher's prompt, or both."""
    examples: int = 0
    """Worked examples in a question: what helped the student most in so many contexts most like this one; none where
    feedback does not revise advice."""
    beta: float = 0.5
    """β of the mirror-descent step, in units of the running standard deviation of the advantage."""
    clip: float = 4.0
    """Largest exponent Â/β."""
    decay: float = 0.97
    """Factor on remembered feedback, once a round."""
    shrinkage: float = 8.0
    """k of the shrinkage n / (n + k) of an advantage measured in n visits."""
    scale_floor: float = 0.05
    """Smallest standard deviation by which advantages are divided, in units of return."""


@dataclass(frozen=True)
class TrustConfig:
    """What the advice is worth, and the controlled trial beside it."""

    margin: float = 0.01
    """δ: the gain per step, in standard deviations of the advantage, that advice must exceed."""
    shrinkage: float = 32.0
    """Steps in one context that count as much as the gain over all contexts."""
    decay: float = 0.9
    """Factor on the evidence, once a round."""
    probation: float = 0.0
    """Trust up to which the teacher is on probation: only the episodes of the trial follow it, and those wholly."""
    trial_every: int = 16
    """One step in so many belongs to a trial; 0 for none."""
    probation_every: int = 0
    """The same while on probation, when the trial is all the practice that advice gets; 0 for as many as otherwise."""
    unrewarded_every: int = 2
    """The same until the first reward, if that makes more of them: what is worth nothing cannot be made worse; or 0."""
    trial_margin: float = 0.02
    """Return the student may lose without advice and still be said to need none."""


@dataclass(frozen=True)
class AskingConfig:
    """What may be asked of the teacher: asking is the cost."""

    per_round: int = 64
    """Contexts asked per round at most, spent where visits x uncertainty is largest after what is asked at once."""
    at_once: bool = False
    """Ask about a new context when it is met, not after the rollout: for tasks whose contexts hardly ever come back."""
    beside: bool = False
    """Let the teacher answer while the student goes on with the next rollout, after which its answers are waited for
    and taken up: faster where a core is free, and advice on what is new comes a round later."""
    share: float = 0.0
    """If positive: share of the wall-clock for the teacher instead of a number of contexts (not repeatable)."""
    remembered: int = 100_000
    """Answers remembered at most; those about contexts that were met least lately are dropped first."""
    most_characters: int = 4_000
    """How long a context may be for the teacher; a longer one loses its middle, and is counted."""


@dataclass(frozen=True)
class ServedConfig:
    """How a teacher behind an OpenAI-compatible server is asked."""

    how: Literal["auto", "exact", "letter", "schema", "votes"] = "auto"
    """By the prompt's log-probabilities, those of a letter, or votes among answers that are held to a JSON schema or
    free; auto: the first that it can do."""
    votes: int = 8
    """Answers drawn for one question if they are counted."""
    concurrency: int = 8
    """Questions asked at the same time."""
    timeout: float = 60.0
    """Seconds to wait for an answer."""
    retries: int = 4
    """How often a request that failed is repeated, with growing pauses."""
    weights: str = ""
    """Folder of the model that the server serves, if lessons shall train it: here, and the server loads what was learnt
    (vLLM with --enable-lora)."""
    adapters: str = ""
    """Folder for that, under a path at which the server can read it; by default one that goes with the run, for a
    server on this machine."""


@dataclass(frozen=True)
class LessonConfig:
    """Fine-tuning of the teacher on what the student found out."""

    every: int = 6
    """Rounds between teacher updates."""
    most: int = 96
    """Lessons in an update at most: the contexts with most visits."""
    steps: int = 12
    """Gradient steps in an update; more where these would be less than a pass over the lessons."""
    anchor: float = 0.0
    """η: share of the untaught reference model in a lesson's target."""
    least_news: float = 0.15
    """An update waits until a lesson's target is so many nats (KL) from what the teacher says already."""
    graduation: bool = True
    """When training is over, teach the teacher what the pair does of late in as many contexts, where there is a prior
    and distillation."""


@dataclass(frozen=True)
class GuidanceConfig:
    """How advice reaches the student."""

    prior: bool = True
    """Add log-advice, weighted by trust, to the policy's logits."""
    distillation: bool = True
    """Teach a graduate, who acts alone, what the pair does; without the prior, the policy itself what is advised."""
    distillation_steps: int = 8
    """Without the prior: gradient steps of distillation before each rollout."""
    graduation_passes: int = 16
    """With it: passes at most over the remembered states, in which the graduate learns when training is over."""
    capacity: int = 131_072
    """States remembered for distillation, of some 0.3 kB each, 2 kB with a map."""


@dataclass(frozen=True)
class PlanConfig:
    """Plans: the teacher's options are subgoals, each of which becomes the student's instruction."""

    enabled: bool = False
    """Whether the teacher advises subgoals instead of actions."""
    limit: int = 32
    """Steps after which the pursuit of a subgoal is cut."""
    gamma: float = 0.98
    """Discount per step of the environment, for whoever plans."""
    decisions: int = 8
    """Subgoals that each environment pursues in a round."""
    batch_size: int = 64
    """Decisions in a gradient step."""
    epochs: int = 4
    """Passes over the decisions of a round."""
    learning_rate: float = 1e-3
    """Of Adam, constant."""
    entropy: float = 0.01
    """Weight of the entropy bonus."""


@dataclass(frozen=True)
class RivalConfig:
    """What the rivals need beside what all methods share."""

    annealed_weight: float = 10.0
    """annealed: weight of the cross-entropy with the advice at the start."""
    annealed_least: float = 0.1
    """annealed: weight to which it falls linearly."""
    annealed_fall: float = 0.33
    """annealed: share of the frames during which it falls."""
    annealed_drop: float = 0.5
    """annealed: share of the frames after which it is dropped."""
    hint_every: float = 5.0
    """hints: mean number of steps between two hints."""
    cloning_share: float = 0.1
    """bc: share of the frames in which the teacher acts, to be cloned."""
    cloning_epochs: int = 16
    """bc: passes over those frames."""


@dataclass(frozen=True)
class LanguagePolicyConfig:
    """PPO of ``llm-policy`` (:mod:`cotutor.rivals.language_policy`), as in Lamorel's example if not said otherwise."""

    envs: int = 8
    """Environments stepped together (Lamorel 2, GLAM 32)."""
    steps: int = 32
    """Steps of each environment in a rollout; envs x steps frames, 256 as there, make an iteration."""
    batch_size: int = 64
    """Frames in a gradient step (GLAM 64, Lamorel 8)."""
    epochs: int = 4
    """Passes over a rollout."""
    learning_rate: float = 3e-4
    """Of Adam, constant (there 1e-6, with which LoRA matrices of rank 8 do not learn: see the lab notes)."""
    gamma: float = 0.99
    """Discount per step."""
    gae_lambda: float = 0.99
    """λ of generalised advantage estimation."""
    clip_range: float = 0.2
    """ε of PPO's clipped objective."""
    entropy: float = 0.01
    """Weight of the entropy bonus."""
    value: float = 0.5
    """Weight of the value loss."""
    largest_gradient: float = 0.5
    """Largest norm of a gradient step."""
    reward_scale: float = 20.0
    """Factor on the reward that PPO sees."""
    calibrated: bool = False
    """Start from calibrated scores, like our teachers (there: raw)."""


@dataclass(frozen=True)
class RayConfig:
    """What of a run is done by actors of a Ray cluster (``pip install cotutor[ray]``)."""

    address: str = "auto"
    """The cluster: auto for the one that this machine belongs to, HOST:PORT for one of several, local for a new one."""
    env_actors: int = 0
    """Actors that step the environments, each an equal share; 0 to step them in this process."""
    teacher_actors: int = 0
    """Replicas of the teacher, among which questions are shared out; 0 to ask it in this process."""
    teacher_cores: int = 1
    """Cores for each of those."""
    teacher_gpus: float = 0.0
    """GPUs for each of those."""


@dataclass(frozen=True)
class TrainConfig:
    """A run: a task, a method, a teacher and a student."""

    task: str = "babyai:GoToRedBallNoDists"
    """A task by name: babyai:NAME, minigrid:, balrog:, varied: or toy:NAME, textworld:FILE or your own module:Class."""
    method: str = "mutual"
    """ppo, one-way, realtime, lasting or mutual; or a rival: annealed, hints, bc, llm-alone or llm-policy."""
    teacher: str = "smollm2"
    """smollm2, oracle, random, uniform, adversarial, turncoat, bow, untrained, a model's folder, hf:ORG/MODEL,
    openai:MODEL, or your own module:Class."""
    student: Literal["text", "image"] = "text"
    """Whether the student reads the teacher's context too (text) or not (image)."""
    seed: int = 0
    """Of everything that is drawn."""
    frames: int = 40_000
    """Environment steps in training, trial episodes included; rounded up to whole rounds unless it ends early."""
    enough: float = 0.0
    """Success over the last 100 training episodes at which training ends; 0 to train for all frames."""
    run_dir: Path | None = None
    """Folder for the results; must not exist. By default a fresh one under runs/."""
    rehearse: tuple[str, ...] = ()
    """Easier tasks learnt before, which some of the environments practise so that they are not forgotten."""
    rehearsal: float = 0.25
    """Share of the environments for what is rehearsed; their episodes count as frames, and in no success."""
    start: Path | None = None
    """Folder of a finished run to go on from: what acts in the pair, the teacher, their memory and the trust."""
    eval_episodes: int = 128
    """Held-out episodes for each evaluation of pair and student."""
    teacher_eval_episodes: int = 64
    """Held-out episodes for each evaluation of the teacher alone."""
    agreement_states: int = 256
    """Fixed states on which the teacher is compared with the bot; all there are, where a task has fewer."""
    transfer: tuple[str, ...] = ()
    """Other tasks with the same observations, on which pair, student and teacher are measured when training is over."""
    replays: int = 6
    """Held-out episodes of the finished pair kept for the report and ``cotutor replay``; 0 for none."""
    checkpoint_seconds: float = 60.0
    """Seconds of training between checkpoints, from which ``cotutor resume`` goes on; 0 for none."""
    ledger_rows: int = 1_000_000
    """Episodes, consultations and failures of the teacher kept in the ledger, the latest of each; rounds all are."""
    threads: int = 0
    """CPU threads; 0 leaves it to torch: one a core, or as many as the environment's OMP_NUM_THREADS says."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the teacher; auto takes bfloat16 where the hardware computes it."""
    shots: int = 0
    """Worked examples in the language model's prompt: 0 to 8 states with what the bot does there."""
    ppo: PPOConfig = field(default_factory=PPOConfig)
    verbalizer: VerbalizerConfig = field(default_factory=VerbalizerConfig)
    dialogue: DialogueConfig = field(default_factory=DialogueConfig)
    trust: TrustConfig = field(default_factory=TrustConfig)
    asking: AskingConfig = field(default_factory=AskingConfig)
    served: ServedConfig = field(default_factory=ServedConfig)
    lessons: LessonConfig = field(default_factory=LessonConfig)
    guidance: GuidanceConfig = field(default_factory=GuidanceConfig)
    plans: PlanConfig = field(default_factory=PlanConfig)
    rivals: RivalConfig = field(default_factory=RivalConfig)
    llm_policy: LanguagePolicyConfig = field(default_factory=LanguagePolicyConfig)
    ray: RayConfig = field(default_factory=RayConfig)

    @property
    def arrows(self) -> Method:
        """The arrows that the method switches on."""
        return METHODS[self.method]


AT_LEAST = {
    "seed": 0,
    "frames": 1,
    "eval_episodes": 1,
    "teacher_eval_episodes": 1,
    "agreement_states": 1,
    "replays": 0,
    "checkpoint_seconds": 0,
    "ledger_rows": 1,
    "threads": 0,
    "ppo.envs": 1,
    "ppo.steps": 2,
    "ppo.batch_size": 2,
    "ppo.epochs": 1,
    "asking.most_characters": 100,
    "dialogue.depth": 0,
    "dialogue.examples": 0,
    "dialogue.shrinkage": 0,
    "trust.shrinkage": 0,
    "trust.trial_every": 0,
    "trust.probation_every": 0,
    "trust.unrewarded_every": 0,
    "asking.per_round": 0,
    "asking.remembered": 1,
    "served.votes": 1,
    "served.concurrency": 1,
    "served.retries": 0,
    "lessons.every": 1,
    "lessons.most": 1,
    "lessons.steps": 1,
    "lessons.least_news": 0,
    "guidance.distillation_steps": 0,
    "guidance.graduation_passes": 0,
    "guidance.capacity": 1,
    "plans.limit": 1,
    "plans.decisions": 2,
    "plans.batch_size": 2,
    "plans.epochs": 1,
    "rivals.annealed_weight": 0,
    "rivals.annealed_least": 0,
    "rivals.hint_every": 1,
    "rivals.cloning_epochs": 1,
    "shots": 0,
    "ray.env_actors": 0,
    "ray.teacher_actors": 0,
    "ray.teacher_cores": 1,
    "ray.teacher_gpus": 0,
    "llm_policy.envs": 1,
    "llm_policy.steps": 2,
    "llm_policy.batch_size": 2,
    "llm_policy.epochs": 1,
}
AT_MOST = {"shots": 8, "dialogue.examples": 8}
POSITIVE = (
    "ppo.learning_rate",
    "dialogue.beta",
    "dialogue.clip",
    "dialogue.scale_floor",
    "served.timeout",
    "plans.gamma",
    "plans.learning_rate",
    "llm_policy.learning_rate",
    "llm_policy.largest_gradient",
    "llm_policy.reward_scale",
)
PATHS = ("run_dir", "start")
FRACTIONS = (
    "enough",
    "rehearsal",
    "ppo.gamma",
    "ppo.gae_lambda",
    "plans.gamma",
    "dialogue.decay",
    "trust.decay",
    "trust.probation",
    "asking.share",
    "lessons.anchor",
    "rivals.annealed_fall",
    "rivals.annealed_drop",
    "rivals.cloning_share",
    "llm_policy.gamma",
    "llm_policy.gae_lambda",
)


def validate(config: TrainConfig) -> None:
    """Raises UserError, in one sentence, for a number out of range or an unknown method."""
    if config.method not in METHODS:
        raise UserError(f"There is no method {config.method!r}: choose one of {', '.join(METHODS)}.")

    def value(name: str) -> float:
        node: Any = config
        for part in name.split("."):
            node = getattr(node, part)
        return node

    for name, least in AT_LEAST.items():
        if value(name) < least:
            raise UserError(f"{name} is {value(name)}, but must be at least {least}.")
    for name, most in AT_MOST.items():
        if value(name) > most:
            raise UserError(f"{name} is {value(name)}, but must be at most {most}.")
    for name in POSITIVE:
        if not value(name) > 0:
            raise UserError(f"{name} is {value(name)}, but must be positive.")
    for name in FRACTIONS:
        if not 0 <= value(name) <= 1:
            raise UserError(f"{name} is {value(name)}, but must lie between 0 and 1.")
    asked_meanwhile = config.asking.at_once or config.verbalizer.restate or config.arrows.rival is not None
    if config.asking.beside and (asked_meanwhile or config.ray.teacher_actors):
        raise UserError(
            "asking.beside goes with no asking.at_once, verbalizer.restate or ray.teacher_actors, and with no rival's "
            "method: the teacher would be needed twice at the same time."
        )


def to_yaml(config: TrainConfig) -> str:
    """Returns the configuration as YAML that :func:`from_yaml` reads."""
    values = asdict(config)
    values |= {name: None if values[name] is None else str(values[name]) for name in PATHS}
    return yaml.safe_dump(values, sort_keys=False)


def from_yaml(path: Path, defaults: TrainConfig = TrainConfig()) -> TrainConfig:
    """Reads a configuration; fields that are not named keep their defaults.

    Raises:
        UserError: The file cannot be read, is no mapping, or names an unknown field.
    """
    values = read_yaml("configuration", path)
    return from_values({} if values is None else values, defaults)


def from_values(values: Any, defaults: TrainConfig = TrainConfig()) -> TrainConfig:
    """Makes a configuration of a mapping as YAML gives it; fields that are not named keep their defaults.

    Raises:
        UserError: It is no mapping, names an unknown field, or a value is of another type.
    """
    return _build(defaults, values, "")


def merge(*layers: dict[str, Any]) -> dict[str, Any]:
    """Returns nested settings of which the later win."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            both = isinstance(value, dict) and isinstance(merged.get(name), dict)
            merged[name] = merge(merged[name], value) if both else value
    return merged


def _build(default: Any, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise UserError(f"The configuration's {where or 'top level'} must be a mapping of names to values.")
    known = {entry.name: getattr(default, entry.name) for entry in fields(default)}
    for name in values:
        if name not in known:
            raise UserError(f"The configuration has an unknown key {where}{name!s}; known are {', '.join(known)}.")
    built = {
        name: _build(known[name], value, f"{where}{name}.")
        if is_dataclass(known[name])
        else _typed(known[name], value, f"{where}{name}")
        for name, value in values.items()
    }
    return type(default)(**{**known, **built})


def _typed(default: Any, value: Any, name: str) -> Any:
    if name in PATHS:
        return None if value is None else Path(str(value))
    kind = type(default)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is tuple and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    if type(value) is not kind:
        raise UserError(f"The configuration's {name} must be of type {kind.__name__}, not {value!r}.")
    return value
