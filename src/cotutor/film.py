"""Replays to watch: frame by frame in the terminal, or as a GIF or MP4."""

import textwrap
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX, STATE_TO_IDX
from minigrid.core.grid import Grid
from minigrid.core.world_object import WorldObj
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cotutor.errors import UserError
from cotutor.replays import Moment, Replay, View
from cotutor.tasks.scene import Item, Scene
from cotutor.text import plain

TILE = 24
TEXT_SIZE = 14
LINE = 19
LEAST_WIDTH = 420
COLOURS = {"purple": "magenta", "grey": "bright_black"}
"""Colours of minigrid that a terminal calls otherwise."""
SIGNS = {"wall": "██", "ball": "● ", "key": "⚷ ", "box": "▣ ", "goal": "◆ ", "lava": "≈≈"}
DOORS = {"open": "▯ ", "closed": "▮ ", "locked": "▩ "}
ARROWS = "→↓←↑"


def watch(replays: Sequence[Replay], console: Console, delay: float) -> None:
    """Shows episodes in the terminal, a step every ``delay`` seconds; one after another where it is no terminal."""
    for number, replay in enumerate(replays, start=1):
        title = f"episode {number} of {len(replays)}"
        if not console.is_terminal:
            for frame in _frames(replay, title):
                console.print(frame)
            continue
        with Live(console=console, auto_refresh=False) as live:
            for frame in _frames(replay, title):
                live.update(frame, refresh=True)
                time.sleep(delay)


def write_film(replays: Sequence[Replay], path: Path, delay: float) -> None:
    """Writes episodes as one film: a GIF, or by its suffix an MP4.

    Args:
        replays: The episodes, of grid worlds.
        path: The file, ``.gif`` or ``.mp4``.
        delay: Seconds a step.

    Raises:
        UserError: The suffix is another, the file exists or cannot be written, the world has no grid to draw, or the
            extra for MP4 is missing.
    """
    if path.suffix not in (".gif", ".mp4"):
        raise UserError(f"A film is a .gif or an .mp4, and {path} is neither.")
    if path.exists():
        raise UserError(f"The film {path} exists already: choose another name.")
    if not path.parent.is_dir():
        raise UserError(f"The folder {path.parent} for the film does not exist.")
    images = [image for replay in replays for image in pictures(replay)]
    (_write_gif if path.suffix == ".gif" else _write_mp4)(images, path, delay)


def pictures(replay: Replay) -> list[Image.Image]:
    """Returns the pictures of an episode, its end included: the grid, and below it what was said and done.

    Raises:
        UserError: The world has no grid to draw.
    """
    views = [(moment.view, said(moment, replay)) for moment in replay.moments]
    views.append((replay.end, [outcome(replay)]))
    rows = max(len(_wrapped(lines)) for _, lines in views)
    return [_picture(view, lines, rows) for view, lines in views]


def said(moment: Moment, replay: Replay) -> list[str]:
    """Returns what is told of a step: the state in words, the advice before and after feedback, the action."""
    lines = [plain(moment.told)]
    if moment.question.context != moment.told:
        lines.append(f"read as: {plain(moment.question.context)}")
    if moment.own_O is not None and moment.revised_O is not None:
        shares = [
            f"{plain(option.phrase)} {own:.0%} to {revised:.0%}"
            for option, own, revised in zip(moment.question.options, moment.own_O, moment.revised_O, strict=True)
        ]
        lines.append(f"teacher, before to after feedback: {', '.join(shares)}")
    if moment.trust is not None:
        lines.append(f"trust {moment.trust:.2f}" + (", the advice changed the choice" if moment.swayed else ""))
    lines.append(f"action: {replay.actions[moment.action]} ({moment.acted_A[moment.action]:.0%})")
    return lines


def outcome(replay: Replay) -> str:
    """Returns how an episode ended."""
    done = "Mission accomplished" if replay.success else "Mission not accomplished"
    return f"{done} after {len(replay.moments)} steps."


def _frames(replay: Replay, title: str) -> Iterator[Group]:
    for step, moment in enumerate(replay.moments, start=1):
        head = Text(f"{title} · step {step} of {len(replay.moments)}", style="bold")
        yield Group(head, _drawn(moment.view), *(Text(line) for line in said(moment, replay)), Text())
    yield Group(Text(title, style="bold"), _drawn(replay.end), Text(outcome(replay), style="bold"), Text())


def _drawn(view: View) -> Table | Text:
    """Returns a view as coloured characters, two a cell."""
    if isinstance(view, str):
        return Text(plain(view))
    grid = Table.grid(padding=0)
    seen = set(view.seen)
    for y in range(view.height):
        row = Text()
        for x in range(view.width):
            place = y * view.width + x
            light = " on grey19" if place in seen else ""
            if (x, y) == view.agent:
                row.append(f"{ARROWS[view.direction]} ", style=f"bold bright_red{light}")
            else:
                row.append(*_sign(view.cells[place], light))
        grid.add_row(row)
    if view.carried is not None:
        grid.add_row(Text(f"carries the {view.carried.colour} {view.carried.type}"))
    return grid


def _sign(item: Item | None, light: str) -> tuple[str, str]:
    if item is None:
        return "· ", f"bright_black{light}"
    sign = DOORS[item.state] if item.type == "door" else SIGNS.get(item.type, f"{item.type[:2]:2}")
    return sign, f"{COLOURS.get(item.colour, item.colour)}{light}"


def _picture(view: View, lines: Sequence[str], rows: int) -> Image.Image:
    if not isinstance(view, Scene):
        raise UserError("This world has no grid to draw: watch the replay in the terminal instead.")
    grid = Image.fromarray(_rendered(view))
    width = max(grid.width, LEAST_WIDTH)
    picture = Image.new("RGB", (width, grid.height + (rows + 1) * LINE), "white")
    picture.paste(grid, ((width - grid.width) // 2, 0))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(TEXT_SIZE)
    for i, line in enumerate(_wrapped(lines)):
        pen.text((8, grid.height + LINE // 2 + i * LINE), line, fill="black", font=font)
    return picture


def _wrapped(lines: Sequence[str]) -> list[str]:
    return [part for line in lines for part in textwrap.wrap(line, LEAST_WIDTH // 7)]


def _rendered(scene: Scene) -> np.ndarray:
    """Returns the scene as minigrid draws it, shape (height, width, 3)."""
    grid = Grid(scene.width, scene.height)
    for place, item in enumerate(scene.cells):
        if item is not None:
            state = STATE_TO_IDX.get(item.state, 0)
            thing = WorldObj.decode(OBJECT_TO_IDX[item.type], COLOR_TO_IDX[item.colour], state)
            grid.set(place % scene.width, place // scene.width, thing)
    light = np.zeros((scene.width, scene.height), dtype=bool)
    for place in scene.seen:
        light[place % scene.width, place // scene.width] = True
    return grid.render(TILE, scene.agent, scene.direction, highlight_mask=light)


def _write_gif(images: Sequence[Image.Image], path: Path, delay: float) -> None:
    first, *rest = images
    first.save(path, save_all=True, append_images=rest, duration=round(1000 * delay), loop=0)


def _write_mp4(images: Sequence[Image.Image], path: Path, delay: float) -> None:
    try:
        ffmpeg = import_module("imageio_ffmpeg")
    except ImportError as error:
        raise UserError("An MP4 needs one more package: pip install cotutor[video], or write a .gif.") from error
    width, height = (max(side) + max(side) % 2 for side in zip(*(image.size for image in images), strict=True))
    writer = ffmpeg.write_frames(str(path), (width, height), fps=max(1, round(1 / delay)), macro_block_size=2)
    writer.send(None)
    for image in images:
        canvas = Image.new("RGB", (width, height), "white")
        canvas.paste(image)
        writer.send(canvas.tobytes())
    writer.close()
