"""What Slack's Web API says instead of doing what was asked."""

from __future__ import annotations

from collections.abc import Mapping

from bot.errors import Refused
from bot.playground.state import Json


class ApiRefusal(Refused):
    """A reply with `ok: false`; `error` is Slack's word for the reason."""

    def __init__(
        self,
        error: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        messages: list[str] | None = None,
        **extra: object,
    ) -> None:
        super().__init__(error)
        self.error = error
        self.status = status
        self.headers = dict(headers or {})
        self.extra = extra
        self.messages = messages

    def body(self) -> Json:
        """The reply as JSON."""
        details = {"response_metadata": {"messages": self.messages}} if self.messages else {}
        return {"ok": False, "error": self.error, **self.extra, **details}
