"""What a language model behind an OpenAI-compatible server says to the options, in four ways.

A way is a function of a client, a model's name, a context and phrases. They differ in what the server must be able to
do: *exact* needs the log-probabilities of the prompt, *letter* those of the first token of an answer, *schema* that
answers are held to a JSON schema, *votes* nothing.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, cast

import numpy as np
from openai import OpenAI, omit
from openai.types import CompletionUsage
from openai.types.shared_params import ResponseFormatJSONObject, ResponseFormatJSONSchema

from cotutor.types import FloatArray

TOP = 20
"""Most log-probabilities of alternatives that the interface offers."""

HALF_A_VOTE = 0.5
CHOICE = "choice"
PROBE = ("Is snow black or white?\nAnswer:", ("white", "black"))
TO_BE_CONTINUED = "Monday, Tuesday, Wednesday,"
SAME = 0.5
"""Nats by which two log-probabilities of the same token may differ, for servers compute coarsely."""


class UnsupportedError(Exception):
    """The server does not return what this way of asking needs, or nothing that can be understood."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came back for one question.

    Attributes:
        scores_O: Log-likelihoods of the phrases, up to a constant.
        tokens: Tokens that the server says it has read and written.
    """

    scores_O: FloatArray
    tokens: int


Way = Callable[[OpenAI, str, str, Sequence[str]], Heard]
ResponseFormat = ResponseFormatJSONObject | ResponseFormatJSONSchema
Schema = Callable[[Sequence[str]], ResponseFormat]


def hear(way: Way, client: OpenAI, model: str, context: str, phrases: Sequence[str]) -> Heard:
    """Asks in one way and makes sure that the answer can be believed.

    Raises:
        UnsupportedError: It cannot: the client hands on whatever came, and not every number is one.
        openai.OpenAIError: The server cannot be reached or refuses.
    """
    with _understanding(), np.errstate(invalid="ignore"):
        heard = way(client, model, context, phrases)
    if not np.isfinite(heard.scores_O).all():
        raise UnsupportedError
    return heard


@contextmanager
def _understanding() -> Iterator[None]:
    """Raises UnsupportedError where an answer is not made as it should be."""
    try:
        yield
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise UnsupportedError from error


def try_out(way: Way, client: OpenAI, model: str) -> Heard:
    """Asks a question of no importance, to find out whether a server can be asked in one way.

    Raises:
        UnsupportedError: It cannot.
        openai.OpenAIError: As in :func:`hear`.
    """
    heard = hear(way, client, model, *PROBE)
    if way is not exact:
        return heard
    with _understanding():
        return Heard(heard.scores_O, heard.tokens + _ensure_in_place(client, model))


def _ensure_in_place(client: OpenAI, model: str) -> int:
    """Makes sure that echoed log-probabilities stand at the tokens that they are of, and returns what that took.

    Those of llama-cpp-python are what the model says once it has read the token (its issue 1983). So a token that the
    server wrote itself must be as likely as it said when it comes back as a part of the prompt.
    """
    reply = client.completions.create(model=model, prompt=TO_BE_CONTINUED, logprobs=1, max_tokens=1, temperature=0.0)
    written = reply.choices[0]
    if written.logprobs is None or not written.logprobs.token_logprobs or not written.text:
        raise UnsupportedError
    (said,) = written.logprobs.token_logprobs
    echoed = _echoed(client, model, TO_BE_CONTINUED + written.text, written.text)
    if said is None or not abs(echoed.logprob - said) < SAME:
        raise UnsupportedError
    return _total(reply.usage) + echoed.tokens


def exact(client: OpenAI, model: str, context: str, phrases: Sequence[str]) -> Heard:
    """Sums the log-probabilities of each phrase's tokens after the context, echoed by the server.

    The same number as of a local model, where the server splits the phrase into the same tokens.

    Raises:
        UnsupportedError: The server does not echo log-probabilities, or no token begins where the phrase does.
    """
    heard = [_echoed(client, model, f"{context} {phrase}", f" {phrase}") for phrase in phrases]
    return Heard(np.array([each.logprob for each in heard]), sum(each.tokens for each in heard))


@dataclass(frozen=True, slots=True)
class Echoed:
    """What came back for one prompt: the log-probability of its end, and the tokens that it took."""

    logprob: float
    tokens: int


def _echoed(client: OpenAI, model: str, prompt: str, end: str) -> Echoed:
    # one new token, for some servers take zero for no limit
    reply = client.completions.create(model=model, prompt=prompt, echo=True, logprobs=1, max_tokens=1, temperature=0.0)
    told = reply.choices[0].logprobs
    if told is None or not told.tokens or not told.token_logprobs:
        raise UnsupportedError
    known = list(zip(told.tokens, told.token_logprobs, strict=True))
    # where the model had nothing more to say there is no new token
    logprob = next((total for part in (known[:-1], known) if (total := _ending(part, end)) is not None), None)
    if logprob is None:
        raise UnsupportedError
    return Echoed(logprob, _total(reply.usage))


def letter(client: OpenAI, model: str, context: str, phrases: Sequence[str]) -> Heard:
    """Offers the phrases as lettered choices and reads the log-probabilities of the answer's first token.

    A letter that is not among the likeliest tokens is as unlikely as the least likely of them.

    Raises:
        UnsupportedError: The server gives no log-probabilities of alternatives, or there are more phrases than letters.
    """
    if len(phrases) > TOP:
        raise UnsupportedError
    choices = "\n".join(f"{name}) {phrase}" for name, phrase in zip(ascii_uppercase, phrases, strict=False))
    reply = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": f"{context}\n{choices}\nAnswer with one letter."}],
        logprobs=True,
        top_logprobs=TOP,
        max_tokens=1,
        temperature=0.0,
    )
    told = reply.choices[0].logprobs
    if told is None or not told.content or not told.content[0].top_logprobs:
        raise UnsupportedError
    top = told.content[0].top_logprobs
    least = min(each.logprob for each in top)
    scores = [
        np.logaddexp.reduce([each.logprob for each in top if each.token.strip() == name] or [least])
        for name, _ in zip(ascii_uppercase, phrases, strict=False)
    ]
    return Heard(np.array(scores), _total(reply.usage))


def voting(votes: int, schema: Schema | None = None) -> Way:
    """Returns a way of asking that draws ``votes`` answers and counts for which phrase each is.

    An answer votes for the phrase that it names; one that names none or several does not vote. Each answer is asked for
    with the phrases in another order, for small models like the first or the last best, and some servers answer a
    repeated question word for word. The score of a phrase is the logarithm of its share, with half a vote added to
    each (Jeffreys' prior).

    Args:
        votes: Answers drawn.
        schema: How the server is told to hold answers to a JSON schema, which has the phrases as an enumeration; it is
            not by default. If none of the answers keeps to it, :class:`UnsupportedError` is raised.
    """

    def count(client: OpenAI, model: str, context: str, phrases: Sequence[str]) -> Heard:
        votes_O, tokens = np.zeros(len(phrases)), 0
        # an answer of constrained form that is cut would be none, and no token is shorter than a character
        limit = 32 + max(map(len, phrases)) if schema else 8 + 2 * max(len(phrase.split()) for phrase in phrases)
        for vote in range(votes):
            first = vote % len(phrases)
            offered = [*phrases[first:], *phrases[:first]]
            asked = f"{context}\nChoose from: {', '.join(offered)}. Reply with the choice only."
            reply = client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": asked}],
                max_tokens=limit,
                temperature=1.0,
                response_format=schema(offered) if schema else omit,
            )
            answer = reply.choices[0].message.content or ""
            choice = _chosen(answer, phrases) if schema else named(answer, phrases)
            if choice is not None:
                votes_O[choice] += 1
            tokens += _total(reply.usage)
        if schema and not votes_O.any():
            raise UnsupportedError
        counts_O = votes_O + HALF_A_VOTE
        return Heard(np.log(counts_O / counts_O.sum()), tokens)

    return count


def json_schema(phrases: Sequence[str]) -> ResponseFormat:
    """Returns a demand for an object whose only entry is one of the phrases."""
    return ResponseFormatJSONSchema(
        type="json_schema", json_schema={"name": CHOICE, "strict": True, "schema": _object(phrases)}
    )


def llama_schema(phrases: Sequence[str]) -> ResponseFormat:
    """Returns the same demand in the form of llama.cpp, the only one that llama-cpp-python knows."""
    return cast(ResponseFormat, {"type": "json_object", "schema": _object(phrases)})


def _object(phrases: Sequence[str]) -> dict[str, Any]:
    choice = {"type": "string", "enum": list(phrases)}
    return {"type": "object", "properties": {CHOICE: choice}, "required": [CHOICE], "additionalProperties": False}


def _chosen(answer: str, phrases: Sequence[str]) -> int | None:
    """Returns which phrase stands in an answer that was held to a schema, None if it was not."""
    try:
        said = json.loads(answer)
    except ValueError:
        return None
    return phrases.index(said[CHOICE]) if isinstance(said, dict) and said.get(CHOICE) in phrases else None


def named(answer: str, phrases: Sequence[str]) -> int | None:
    """Returns which phrase the answer names, None if it names none or several; one within another does not count."""
    said = " ".join(answer.lower().split())
    found = [phrase for phrase in phrases if phrase.lower() in said]
    whole = [phrase for phrase in found if not any(phrase != other and phrase in other for other in found)]
    return phrases.index(whole[0]) if len(whole) == 1 else None


def _ending(told: Sequence[tuple[str, float | None]], end: str) -> float | None:
    """Returns the log-probability of the last tokens, which together are the end, None if there are none such."""
    written, total = "", 0.0
    for token, logprob in reversed(told):
        if logprob is None:
            return None
        written, total = token + written, total + logprob
        if written == end:
            return total
    return None


def _total(usage: CompletionUsage | None) -> int:
    return int(usage.total_tokens) if usage else 0
