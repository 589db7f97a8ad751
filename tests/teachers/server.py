"""An OpenAI-compatible server on the loopback interface, with a real model, that can do as much as it is told to.

It answers like the completions of vLLM and llama.cpp, log-probabilities echoed, and like the chat of hosted models with
log-probabilities of alternatives. What is sent to it is kept for the tests to look at.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

import torch

from cotutor.teachers.local import LocalTeacher


@dataclass
class Served:
    """What a server can do and what happened to it."""

    teacher: LocalTeacher
    echoes: bool = True
    alternatives: bool = True
    constrains: bool = False
    key: str | None = None
    failures: int = 0
    nonsense: bytes = b""
    kind: str = "application/json"
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def logprobs(self, tokens: list[int]) -> torch.Tensor:
        with self.lock, torch.no_grad():
            return self.teacher.model(torch.tensor([tokens])).logits[0].float().log_softmax(-1)  # pyright: ignore

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        tokenizer = self.teacher.prompter.tokenizer
        tokens = tokenizer(body["prompt"])["input_ids"]
        logprobs_TV = self.logprobs(tokens)
        new = int(logprobs_TV[-1].argmax())
        told = [None, *(float(logprobs_TV[t, token]) for t, token in enumerate([*tokens[1:], new]))]
        texts = [tokenizer.decode([token]) for token in [*tokens, new]]
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
        schema = demanded["json_schema"]["schema"]
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
            status, answer = self.answer(body)
            sent = served.nonsense or json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", served.kind)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            if served.key and self.headers["Authorization"] != f"Bearer {served.key}":
                return 401, {"error": {"message": "wrong key"}}
            if body["model"] != "tiny":
                return 404, {"error": {"message": f"no model \x1b[31m{body['model']}"}}
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
