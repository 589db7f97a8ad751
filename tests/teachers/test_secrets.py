"""A key that is used all through a run is nowhere in what the run leaves or says, whether it ends well or not."""

from string import ascii_uppercase

import pytest
from rich.console import Console

from cotutor.config import from_values
from cotutor.errors import UserError
from cotutor.report import write_report
from cotutor.teachers.local import LocalConfig, LocalTeacher
from cotutor.train import train
from tests.teachers.server import serve
from tests.tiny import save_tiny

KEY = "sk-this-is-nobodys-business"


@pytest.mark.parametrize("ends_well", [True, False])
def test_a_key_is_in_nothing_that_a_run_leaves_or_says(ends_well, tmp_path, monkeypatch, capfd):
    path = save_tiny(tmp_path / "tiny", ["?", *ascii_uppercase])
    local = LocalTeacher(path, config=LocalConfig(template="{context}\nNext action:", dtype="float32"))
    with serve(local, key=KEY) as server:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        settings = {"run_dir": str(tmp_path / "run"), "checkpoint_seconds": 1e-6, "frames": 512, "threads": 1}
        measured = {"eval_episodes": 1, "teacher_eval_episodes": 1, "agreement_states": 2, "replays": 1}
        config = from_values({"teacher": "openai:tiny", "ppo": {"envs": 4, "steps": 32}, **settings, **measured})
        if ends_well:
            folder, _ = train(config, Console())
            write_report(folder.path)
        else:
            fails_after(server, 3)
            with pytest.raises(UserError) as caught:
                train(config, Console())
            assert KEY not in str(caught.value)
            assert (tmp_path / "run" / "checkpoints").is_dir()
    assert server.requests
    left = [file for file in (tmp_path / "run").rglob("*") if file.is_file()]
    assert len(left) > 4
    for file in left:
        assert KEY.encode() not in file.read_bytes(), file
    assert KEY not in "".join(capfd.readouterr())


def fails_after(server, requests: int) -> None:
    chat = server.chat

    def fail(body):
        if len(server.requests) > requests:
            server.failures = 1_000_000
        return chat(body)

    server.chat = fail
