"""A language model behind an OpenAI-compatible server as teacher."""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import openai
from scipy.special import softmax

from cotutor.config import ServedConfig
from cotutor.errors import SilentTeacherError, UserError
from cotutor.scoring.served import (
    Heard,
    UnsupportedError,
    Way,
    exact,
    hear,
    json_schema,
    letter,
    llama_schema,
    try_out,
    voting,
)
from cotutor.teachers.base import Teacher
from cotutor.teachers.bounded import bounded_client
from cotutor.teachers.calibration import CALIBRATION, Calibration
from cotutor.text import plain
from cotutor.types import FloatArray, Question

KEY, URL = "OPENAI_API_KEY", "OPENAI_BASE_URL"


class ServedTeacher(Teacher):
    """A model on a server, whose weights are not trained: feedback re-weights its advice or reaches it by its prompt.

    Key and address are read from the environment (``OPENAI_API_KEY``, ``OPENAI_BASE_URL``). A server whose address is
    part of the name gets no key: names stand in the folders of runs, and those come from other people, too. Requests
    that fail for a while are repeated by the client, with growing pauses.

    Args:
        name: ``MODEL`` or ``MODEL@URL``.
        template: The text around a context, which stands for ``{context}`` in it.
        config: How the server is asked.

    Attributes:
        way: How its scores are found out.
        calibration: The bias of each phrase, frozen once learnt.

    Raises:
        SilentTeacherError: The server cannot be reached, refuses, does not have the model or cannot do what ``config``
            asks.
        UserError: ``name`` leads nowhere.
    """

    remote = True

    def __init__(self, name: str, template: str, config: ServedConfig | None = None) -> None:
        self.config = config or ServedConfig()
        self.model, url, key = _whom_to_ask(name)
        # servers of one's own ask for none, and the client insists on one
        self.key = key or "no key"
        self.template = template
        self.calibration = Calibration()
        self.client = openai.OpenAI(
            base_url=url,
            api_key=self.key,
            timeout=self.config.timeout,
            http_client=bounded_client(self.config.timeout),
            max_retries=self.config.retries,
        )
        self.url = str(self.client.base_url)
        self.way, self._tokens = self._choose_way()

    @property
    def tokens(self) -> int:
        return self._tokens

    def score(self, questions: Sequence[Question]) -> list[FloatArray]:
        return self._score(questions, self.model)

    def _score(self, questions: Sequence[Question], model: str) -> list[FloatArray]:
        contexts = [self.template.replace("{context}", question.context) for question in questions]
        phrases = [[option.phrase for option in question.options] for question in questions]
        with ThreadPoolExecutor(self.config.concurrency) as asking:
            heard = list(asking.map(partial(self._ask, model), contexts, phrases))
        self._tokens += sum(each.tokens for each in heard)
        return [each.scores_O for each in heard]

    def calibrate(self, questions: Sequence[Question]) -> None:
        self.calibration.learn(questions, self.score(questions))

    def advice(self, questions: Sequence[Question], scores: Sequence[FloatArray]) -> list[FloatArray]:
        return [softmax(s_O - self.calibration.of(q)) for q, s_O in zip(questions, scores, strict=True)]

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CALIBRATION).write_text(json.dumps({"bias": self.calibration.bias}, indent=2) + "\n")

    def load(self, folder: Path) -> None:
        self.calibration = Calibration(json.loads((folder / CALIBRATION).read_text())["bias"])

    def _choose_way(self) -> tuple[Way, int]:
        """Tries the ways of asking, the most exact first; returns the first that works and the tokens that it took."""
        votes = self.config.votes
        ways = [
            ("exact", exact),
            ("letter", letter),
            ("schema", voting(votes, json_schema)),
            ("schema", voting(votes, llama_schema)),
            ("votes", voting(votes)),
        ]
        *others, last = [way for name, way in ways if self.config.how in ("auto", name)]
        client = self.client.with_options(max_retries=0)
        for way in others:
            try:
                return way, try_out(way, client, self.model).tokens
            except (openai.APIConnectionError, openai.AuthenticationError, openai.PermissionDeniedError) as error:
                raise self._failed(error) from error
            except (UnsupportedError, openai.APIStatusError):
                continue
        with self._explaining():
            return last, try_out(last, self.client, self.model).tokens

    def _ask(self, model: str, context: str, phrases: Sequence[str]) -> Heard:
        with self._explaining():
            return hear(self.way, self.client, model, context, phrases)

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except UnsupportedError as error:
            raise SilentTeacherError(
                "not understood",
                f"What answers at {self.url} does not do so as --served.how {self.config.how} needs it: see whether the"
                " address is right (most end in /v1), or use --served.how votes.",
            ) from error
        except openai.OpenAIError as error:
            raise self._failed(error) from error

    def _failed(self, error: openai.OpenAIError) -> SilentTeacherError:
        # a server may repeat the key that it was sent
        said = plain(" ".join(str(error).replace(self.key, "…").split()))[:200]
        kind = "not understood"
        words = f"The server {self.url} could not answer for the model {self.model!r}: {said}"
        match error:
            case openai.APITimeoutError():
                kind = "time-out"
                words = f"The server {self.url} took longer than {self.config.timeout:g} s: see --served.timeout."
            case openai.APIConnectionError() if isinstance(error.__cause__, httpx2.ConnectError):
                kind = "no connection"
                words = f"There is no server at {self.url}: start it, or say where it is with openai:MODEL@URL."
            case openai.APIConnectionError():
                kind = "broken off"
                words = f"The server {self.url} broke off its answer: {plain(str(error.__cause__))[:200]}"
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                kind = "key refused"
                words = f"The server {self.url} wants a valid key: put address and key into {URL} and {KEY}."
            case openai.APIStatusError():
                kind = f"status {error.status_code}"
        return SilentTeacherError(kind, words)


def _whom_to_ask(name: str) -> tuple[str, str | None, str | None]:
    """Returns model, address and key for ``MODEL`` or ``MODEL@URL``; without an address the client has its own."""
    model, at, url = name.rpartition("@http")
    if at:
        url, key = f"http{url}", None
    else:
        model, url, key = name, os.environ.get(URL), os.environ.get(KEY)
    if not model:
        raise UserError("Say which model the server shall answer with: openai:MODEL or openai:MODEL@URL.")
    if not url and not key:
        raise UserError(f"Say where the server is, with openai:{model}@URL or {URL}; a hosted one needs {KEY}.")
    if url and urlsplit(url).username is not None:
        raise UserError(f"No name or password in the address, please: put address and key into {URL} and {KEY}.")
    return model, url or None, key or None
