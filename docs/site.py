"""What the site takes from outside of docs/: tables and pages of the results."""

from pathlib import Path

from mkdocs.structure.files import File, Files

RESULTS = Path("results")


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
