"""The amounts Slack refuses: too much text, too many blocks, too many posts a second."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from bot.playground.block_rules import block_problems, markdown_length
from bot.playground.refusal import ApiRefusal
from bot.playground.state import Json

MAX_TEXT_CHARS = 40_000
MAX_UPDATE_TEXT_CHARS = 4_000
MAX_MARKDOWN_CHARS = 12_000
MAX_BLOCKS = 50


class PostLimiter:
    """Lets `per_second` posts a second into each channel, with `burst` of them at once; None lets everything pass."""

    def __init__(self, per_second: float | None = 1.0, *, burst: int = 1) -> None:
        self.per_second = per_second
        self.burst = burst
        self._spent: dict[str, tuple[float, float]] = {}

    def check(self, channel_id: str) -> None:
        """Count one post into the channel; raises `ratelimited` with the seconds to wait, and then counts nothing."""
        if self.per_second is None:
            return
        now = time.monotonic()
        tokens, at = self._spent.get(channel_id, (float(self.burst), now))
        tokens = min(float(self.burst), tokens + (now - at) * self.per_second)
        if tokens < 1:
            wait_s = max(1, math.ceil((1 - tokens) / self.per_second))
            raise ApiRefusal("ratelimited", status=429, headers={"Retry-After": str(wait_s)})
        self._spent[channel_id] = (tokens - 1, now)


def check_text(text: str, *, most: int = MAX_TEXT_CHARS) -> None:
    """Raise `msg_too_long` for a text over the limit."""
    if len(text) > most:
        raise ApiRefusal("msg_too_long")


def check_markdown(text: str) -> None:
    """Raise `msg_too_long` for more `markdown_text` than one call may carry."""
    check_text(text, most=MAX_MARKDOWN_CHARS)


def check_blocks(blocks: Sequence[Json], *, most: int = MAX_BLOCKS) -> None:
    """Raise what Slack raises for these blocks: a wrong shape, too many, or too much markdown in all."""
    if not isinstance(blocks, list):
        raise ApiRefusal("invalid_blocks_format")
    if len(blocks) > most:
        raise ApiRefusal(
            "invalid_blocks", messages=[f"[ERROR] no more than {most} items allowed [json-pointer:/blocks]"]
        )
    problems = block_problems(blocks)
    if problems:
        raise ApiRefusal("invalid_blocks", errors=problems, messages=[f"[ERROR] {problem}" for problem in problems])
    if markdown_length(blocks) > MAX_MARKDOWN_CHARS:
        raise ApiRefusal("msg_blocks_too_long")
