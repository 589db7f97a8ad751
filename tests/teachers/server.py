"""An OpenAI-compatible server on the loopback interface, with a real model, that can do as much as it is told to.

It answers like the completions of vLLM and llama.cpp, log-probabilities echoed, and like the chat of hosted models with
log-probabilities of alternatives. What is sent to it is kept for the tests to look at.
"""

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import torch
from peft import PeftModel

from cotutor.teachers.local import LocalTeacher


@dataclass
class Served:
    """What a server can do and what happened to it.

    One that is ``displaced`` echoes what llama-cpp-python does: log-probabilities once the token has been read. One
    that ``stops`` has nothing more to say after a prompt.
    """

    teacher: LocalTeacher
    echoes: bool = True
    displaced: bool = False
    stops: bool = False
    adapts: bool = False
    alternatives: bool = True
    constrains: str = ""
    key: str | None = None
    failures: int = 0
    nonsense: bytes = b""
    kind: str = "application/json"
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    adapted: PeftModel | None = None
    lock: Lock = field(default_factory=Lock)

    @property
    def models(self) -> list[str]:
        return ["tiny", *(self.adapted.peft_config if self.adapted else [])]

    def logprobs(self, tokens: list[int], model: str = "tiny") -> torch.Tensor:
        with self.lock, torch.no_grad(), ExitStack() as stack:
            if self.adapted is not None and model == "tiny":
                stack.enter_context(self.adapted.disable_adapter())
            elif self.adapted is not None:
                self.adapted.set_adapter(model)
            answering: Any = self.adapted or self.teacher.model
            return answering(torch.tensor([tokens])).logits[0].float().log_softmax(-1)

    def load(self, body: dict[str, Any]) -> tuple[int, str]:
        """Loads LoRA matrices as vLLM does."""
        name, path = body["lora_name"], body["lora_path"]
        if name in self.models:
            return 400, f"The lora adapter '{name}' has already been loaded."
        if not (Path(path) / "adapter_config.json").exists():
            return 404, f"Loading lora {name} failed: No adapter found for {path}"
        if self.adapted is None:
            self.adapted = PeftModel.from_pretrained(self.teacher.model, path, adapter_name=name)
        else:
            self.adapted.load_adapter(path, adapter_name=name)
        return 200, f"Success: LoRA adapter '{name}' added successfully."

    def unload(self, body: dict[str, Any]) -> tuple[int, str]:
        if self.adapted is None or body["lora_name"] not in self.models:
            return 404, f"The lora adapter '{body['lora_name']}' cannot be found."
        self.adapted.delete_adapter(body["lora_name"])
        return 200, f"Success: LoRA adapter '{body['lora_name']}' removed successfully."

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        tokenizer = self.teacher.prompter.tokenizer
        tokens = tokenizer(body["prompt"])["input_ids"]
        logprobs_TV = self.logprobs(tokens, body["model"])
        new = int(logprobs_TV[-1].argmax())
        told = [None, *(float(logprobs_TV[t, token]) for t, token in enumerate([*tokens[1:], new]))]
        if self.displaced:
            told[1:-1] = [float(logprobs_TV[t, token]) for t, token in enumerate(tokens)][1:]
        texts = [tokenizer.decode([token]) for token in [*tokens, new]]
        shown = slice(None, -1 if self.stops else None) if body.get("echo") else slice(-1, None)
        texts, told = texts[shown], told[shown]
        echoed = {"tokens": texts, "token_logprobs": told, "top_logprobs": None, "text_offset": None}
        choice = {"index": 0, "text": "".join(texts), "finish_reason": "length"}
        return {"choices": [choice | {"logprobs": echoed if self.echoes else None}], **_usage(len(tokens))}

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        tokenizer = self.teacher.prompter.tokenizer
        tokens = tokenizer(body["messages"][0]["content"] + "\nAnswer:")["input_ids"]
        top = self.logprobs(tokens)[-1].topk(20)
        likely = [
            {"token": tokenizer.decode([int(token)]), "logprob": float(logprob), "bytes": None}
            for logprob, token in zip(top.values, top.indices, strict=True)
        ]
        told = {"content": [likely[0] | {"top_logprobs": likely}], "refusal": None} if self.alternatives else None
        demanded = body.get("response_format")
        said = self.constrained(tokens, demanded) if self.constrains and demanded else likely[0]["token"]
        message = {"role": "assistant", "content": said}
        return {"choices": [{"index": 0, "message": message, "logprobs": told}], **_usage(len(tokens))}

    def constrained(self, tokens: list[int], demanded: dict[str, Any]) -> str:
        """Returns an answer that keeps to the schema: the entry drawn by the likelihood of its first token."""
        schema = demanded["schema"] if self.constrains == "json_object" else demanded["json_schema"]["schema"]
        (name,) = schema["required"]
        offered = schema["properties"][name]["enum"]
        tokenizer = self.teacher.prompter.tokenizer
        first = [tokenizer(f" {phrase}", add_special_tokens=False)["input_ids"][0] for phrase in offered]
        drawn = torch.multinomial(self.logprobs(tokens)[-1][first].softmax(0), 1)
        return json.dumps({name: offered[int(drawn)]})


def _usage(read: int) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": read, "completion_tokens": 1, "total_tokens": read + 1}}


@contextmanager
def serve(teacher: LocalTeacher, **able: Any) -> Iterator[Served]:
    """Serves the model of a teacher for a while, on a port of its own."""
    served = Served(teacher, **able)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.requests.append(body)
            status, answer = self.adapt(body) if "lora_name" in body else self.answer(body)
            sent = served.nonsense or json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", served.kind)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def adapt(self, body: dict[str, Any]) -> tuple[int, Any]:
            if not served.adapts:
                return 404, {"detail": "Not Found"}
            return served.load(body) if self.path == "/v1/load_lora_adapter" else served.unload(body)

        def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            if served.key and self.headers["Authorization"] != f"Bearer {served.key}":
                return 401, {"error": {"message": "wrong key"}}
            if body["model"] not in served.models:
                return 404, {"error": {"message": f"no model \x1b[31m{body['model']}"}}
            demanded = body.get("response_format")
            if demanded and served.constrains and demanded["type"] != served.constrains:
                return 500, {"error": {"message": f"response_format.type should be {served.constrains}"}}
            if served.failures:
                served.failures -= 1
                return 503, {"error": {"message": "busy"}}
            return 200, served.completion(body) if self.path == "/v1/completions" else served.chat(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def running(command: Sequence[Path | str], log: Path) -> Iterator[str]:
    """Runs another program's server for a while, and gives its address."""
    port = free_port()
    with log.open("w") as output:
        server = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)], stdout=output, stderr=output)
        try:
            _wait_for(port, server)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait(timeout=30)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        with socket.socket() as trying:
            if trying.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert server.poll() is None, "The server ended before it answered."
        time.sleep(0.5)
    raise TimeoutError("The server did not start.")
