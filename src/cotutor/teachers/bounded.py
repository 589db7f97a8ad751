"""A bound on what a server may send: an answer that trickles or never ends is none."""

import time
from collections.abc import Iterator

import httpx2
import openai

MOST_BYTES = 4 * 2**20


class Bounded(httpx2.SyncByteStream):
    """The body of a response, as long as it comes in time and is not too long.

    Args:
        stream: The body.
        seconds: Until when it must have come, from now on.
    """

    def __init__(self, stream: httpx2.SyncByteStream, seconds: float) -> None:
        self.stream = stream
        self.until = time.monotonic() + seconds

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self.stream:
            size += len(chunk)
            if size > MOST_BYTES:
                raise httpx2.ReadError(f"an answer of more than {MOST_BYTES:,} bytes")
            if time.monotonic() > self.until:
                raise httpx2.ReadTimeout("an answer that trickles")
            yield chunk

    def close(self) -> None:
        self.stream.close()


def bounded_client(seconds: float) -> httpx2.Client:
    """Returns the client of the openai package, whose time-out bounds an answer as a whole and not each piece of it."""

    def bound(response: httpx2.Response) -> None:
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = Bounded(response.stream, seconds)

    return openai.DefaultHttpxClient(event_hooks={"response": [bound]}, timeout=seconds)
