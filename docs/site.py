"""What the site takes from outside of docs/: tables and pages of the results."""

import re
from pathlib import Path

from mkdocs.structure.files import File, Files

RESULTS = Path("results")
ROLE = re.compile(":(?:attr|class|data|func|meth|mod):<code>")


def on_files(files: Files, config) -> Files:
    """Adds the kept tables and pages under ``kept/``."""
    for pattern in ("*/README.md", "*/*.html", "*/*.json"):
        for path in sorted(RESULTS.glob(pattern)):
            place = f"kept/{path.relative_to(RESULTS)}"
            files.append(File.generated(config, place, content=path.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page, config, files) -> str:
    """Turns links that leave docs/ into links of the site."""
    return markdown.replace("](../results/", "](kept/")


def on_page_content(html: str, page, config, files) -> str:
    """Takes away the roles of reStructuredText that docstrings put before names."""
    return ROLE.sub("<code>", html)
