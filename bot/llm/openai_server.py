"""A model at OpenAI's, or at a server that speaks its protocol: its connection, its errors in our words, its health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import openai
from openai import AsyncOpenAI

from bot.errors import InvalidRequest, InvalidSettings, ModelUnavailable, RecollectError
from bot.llm.breaker import Breaker

DEFAULT_BASE_URL = "https://api.openai.com/v1"

CONNECT_S = 5.0
"""Longest wait for a connection: a server that takes longer isn't there."""

HEALTH_AGE_S = 5.0
HEALTH_TIMEOUT_S = 4.0


class OpenAIServer:
    """What a chat model and an embedding model share. `setting` names the variable that holds the model's name."""

    def __init__(
        self,
        model: str,
        *,
        setting: str,
        api_key: str,
        base_url: str | None,
        timeout_s: float,
        max_retries: int,
        breaker: Breaker | None,
    ) -> None:
        self._model = model
        self._setting = setting
        self._breaker = breaker or Breaker(model)
        self.client = AsyncOpenAI(
            api_key=api_key,
            base_url=base_url or DEFAULT_BASE_URL,
            timeout=openai.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
            max_retries=max_retries,
        )
        self._health: tuple[float, str | None] | None = None

    @contextmanager
    def call(self) -> Iterator[None]:
        """Make one call inside; the SDK's errors, and what it lets through of malformed replies, leave it as ours.

        Raises ModelUnavailable at once while the model is being left alone.
        """
        with self._breaker.watching():
            try:
                yield
            except (openai.OpenAIError, ValueError, TimeoutError) as error:
                raise self._error_from(error) from error

    async def problem(self) -> str | None:
        """Return what keeps the model from answering, None when nothing is known to; at most 5 s old.

        While the model is left alone nobody asks it; afterwards any HTTP answer below 500 counts as one.
        """
        if (rest_s := self._breaker.rests_for_s) > 0:
            return f"{self._model} failed several times in a row; it is tried again in {rest_s:.0f} s"
        if self._health is None or time.monotonic() - self._health[0] >= HEALTH_AGE_S:
            sentence = await self._probe()
            self._health = (time.monotonic(), sentence)
        return self._health[1]

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()

    async def _probe(self) -> str | None:
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                await self.client.with_options(max_retries=0).models.list()
        except openai.APIStatusError as error:
            return None if error.status_code < 500 else f"{self._model} answers HTTP {error.status_code}"  # noqa: PLR2004
        except (openai.APIConnectionError, TimeoutError):
            return f"{self._model} can't be reached"
        except (openai.OpenAIError, ValueError):  # an answer, if not one of OpenAI's
            return None
        return None

    def _error_from(self, error: Exception) -> RecollectError:
        details = f"(status {getattr(error, 'status_code', None)}, code {getattr(error, 'code', None)})"
        what = f"{self._model}: {type(error).__name__} {details}"
        match error:
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                return InvalidSettings(
                    what, user_message="The language model refuses my key. Whoever runs me should check OPENAI_API_KEY."
                )
            case openai.NotFoundError():
                message = f"The language model {self._model} isn't known there. Whoever runs me should check"
                return InvalidSettings(what, user_message=f"{message} {self._setting}.")
            case openai.BadRequestError() | openai.UnprocessableEntityError():
                return InvalidRequest(
                    what, user_message="The language model refused this. Please put it in other words."
                )
            case openai.APIStatusError():
                return ModelUnavailable(what, user_message=_why(error), retry_after_s=_retry_after_s(error))
            case _:
                return ModelUnavailable(what)


def _why(error: openai.APIStatusError) -> str | None:
    """Return what a person should know of a refusal that may pass; None when there is nothing particular."""
    if not isinstance(error, openai.RateLimitError):
        return None
    if error.code == "insufficient_quota":
        return "The language model's credit is used up. Whoever runs me should look at its account."
    return "The language model is busy right now. Please try again in a minute."


def _retry_after_s(error: openai.APIStatusError) -> float | None:
    """Return how long the server wants to be left alone, in seconds; None when it doesn't say, or names a date."""
    headers = error.response.headers
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return float(headers[name]) * unit_s
        except (KeyError, ValueError):
            continue
    return None
