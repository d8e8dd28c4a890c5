"""What the bot sent to Slack, as Slack puts it together: posts, updates, whole streams, private answers, statuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bot.playground.interactions import ResponseUrl
from bot.playground.local import LocalSlack

Json = dict[str, Any]

_STREAMED = ("chat.startStream", "chat.appendStream", "chat.stopStream")


@dataclass(frozen=True, slots=True)
class Sent:
    """One thing that was shown: `how` is the method it came by, `place` its channel, `message` what it says."""

    how: str
    place: str
    message: Json


@dataclass(slots=True)
class Recorder:
    """Keeps what comes to response URLs, which no list of API calls holds."""

    slack: LocalSlack
    private: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        respond, respond_to = self.slack.interactions.respond, self.slack.interactions.respond_to
        urls: list[Json] = []

        def recording_to(token: str, body: Json) -> None:
            urls.append(body)
            respond_to(token, body)

        def recording(response: ResponseUrl, body: Json) -> None:
            how = "response_url" if any(body is sent for sent in urls) else "ack"
            self.private.append(Sent(how, "private", body))
            respond(response, body)

        self.slack.interactions.respond_to = recording_to  # type: ignore[method-assign]  # it is watched, not changed
        self.slack.interactions.respond = recording  # type: ignore[method-assign]

    def sent(self) -> Iterator[Sent]:
        """Yield everything that was shown; a stream as what it had come to with each piece."""
        streams: dict[str, str] = {}
        for call in self.slack.calls:
            place = str(call.args.get("channel") or call.args.get("channel_id") or "")
            if call.method in _STREAMED:
                before = "" if call.method == _STREAMED[0] else streams.get(place, "")
                streams[place] = before + str(call.args.get("markdown_text") or "")
                yield Sent(call.method, place, {**call.args, "markdown_text": streams[place]})
            elif call.method in {"chat.postMessage", "chat.update", "chat.postEphemeral"}:
                yield Sent(call.method, place, call.args)
            elif call.method == "assistant.threads.setStatus":
                yield Sent(call.method, place, {"text": call.args.get("status") or ""})
        yield from self.private

    def is_ours(self, url: str) -> bool:
        """Tell whether this is the address of a message in this workspace."""
        base = re.escape(self.slack.store.base_url)
        return re.fullmatch(rf"{base}/archives/\w+/p\d+(\?thread_ts=[\d.]+&cid=\w+)?", url) is not None


def may_unfurl(sent: Sent) -> bool:
    """Tell whether Slack might show what lies behind an address in this, or make a link of one in its `text`."""
    message = sent.message
    if sent.how in {"chat.postMessage", "response_url"}:
        shut = message.get("unfurl_links") is False and message.get("unfurl_media") is False
        return not shut or (sent.how == "chat.postMessage" and message.get("parse") != "none")
    return sent.how == "chat.update" and message.get("parse") != "none"
