"""What is a question, and what is none."""

from __future__ import annotations

import re

from bot.errors import InvalidRequest

MAX_QUESTION_CHARS = 8_000
"""A longer message is no question; shared as a file it can be asked about."""

GREETING = (
    "Hello! Share a file in this thread and ask me about it, or ask about anything shared in this channel before."
)

_EMOJI = re.compile(r":[\w+'-]+:")


def is_only_a_greeting(text: str) -> bool:
    """True when nothing is asked: no letter or digit outside emoji codes."""
    return not any(character.isalnum() for character in _EMOJI.sub("", text))


def require_short(text: str) -> None:
    """Raise InvalidRequest for what is too long to be a question."""
    if len(text) > MAX_QUESTION_CHARS:
        message = (
            f"That is too long for a question: I read up to {MAX_QUESTION_CHARS:,} characters. "
            "Share it as a file, and ask me about it."
        )
        raise InvalidRequest("question too long", user_message=message)
