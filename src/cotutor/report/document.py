"""What the pages share: templates, scripts and the rule that they load nothing and run nothing but their own."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from cotutor.report.figures import Figure
from cotutor.report.verdict import percent
from cotutor.text import plain


def write_page(
    target: Path,
    template: str,
    figures: Sequence[Figure],
    scripts: Sequence[str] = (),
    templates: Path | None = None,
    **values: Any,
) -> Path:
    """Writes a page that opens offline, at once or not at all.

    Args:
        target: The file.
        template: A template that extends ``base.html.jinja``.
        figures: Its plots, which the template places.
        scripts: Files of this folder that the page runs after the plots are drawn.
        templates: The folder of the template, if it is not this one.
        **values: What the template shows.

    Returns:
        The file.
    """
    texts = [get_plotlyjs(), *(_read(name) for name in ("plots.js", *scripts))]
    page = (
        _environment(templates)
        .get_template(template)
        .render(
            **values,
            figures=[asdict(figure) for figure in figures],
            scripts=[Markup(text) for text in texts],
            hashes=[_hash(text) for text in texts],
        )
    )
    draft = target.with_name(f"{target.name}.part")
    draft.write_text(page, encoding="utf-8", newline="\n")
    draft.replace(target)
    return target


def duration(seconds: float) -> str:
    """Returns seconds in the unit that suits them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def legible(data: Any) -> Any:
    """Returns JSON data with every text in it made :func:`plain`."""
    if isinstance(data, str):
        return plain(data)
    if isinstance(data, dict):
        return {name: legible(value) for name, value in data.items()}
    return [legible(value) for value in data] if isinstance(data, list | tuple) else data


def _environment(templates: Path | None) -> Environment:
    ours = PackageLoader("cotutor", "report")
    environment = Environment(
        loader=ours if templates is None else ChoiceLoader([FileSystemLoader(templates), ours]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": plain, "percent": percent, "duration": duration}
    return environment


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
