"""Trouble on request: what Slack does on a bad day."""

from __future__ import annotations

from collections import Counter

from bot.playground.refusal import ApiRefusal


class Faults:
    """Errors waiting for the next calls of a method."""

    def __init__(self) -> None:
        self._errors: dict[str, list[ApiRefusal]] = {}
        self._cuts: Counter[str] = Counter()

    def refuse(
        self, method: str, error: str, *, times: int = 1, status: int = 200, retry_after_s: int | None = None
    ) -> None:
        """Answer the next `times` calls of `method` with this error, nothing done."""
        headers = {"Retry-After": str(retry_after_s)} if retry_after_s is not None else {}
        self._errors.setdefault(method, []).extend(
            ApiRefusal(error, status=status, headers=headers) for _ in range(times)
        )

    def cut_reply(self, method: str, *, times: int = 1) -> None:
        """Do what the next `times` calls of `method` ask, but break the connection instead of answering."""
        self._cuts[method] += times

    def check(self, method: str) -> None:
        """Raise the error that waits for this call, if one does."""
        waiting = self._errors.get(method)
        if waiting:
            raise waiting.pop(0)

    def takes_reply_of(self, method: str) -> bool:
        """True when this call's answer is to be lost; counts one down."""
        if self._cuts[method] <= 0:
            return False
        self._cuts[method] -= 1
        return True
