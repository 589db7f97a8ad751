"""Folders as data that travel from one machine to another."""

from pathlib import Path

Files = dict[str, bytes]
"""The contents of each file by its place in the folder."""


def read_files(folder: Path) -> Files:
    """Returns the files in a folder, at any depth."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_files(files: Files, folder: Path) -> None:
    """Writes files into a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
