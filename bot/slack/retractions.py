"""Answers taken back where they stand, and which stored events tell of a message."""

from __future__ import annotations

import structlog

from bot.errors import NotFound
from bot.services.errands import message_key
from bot.slack.blocks import literal, rich_text, section
from bot.slack.client import MessageGone, SlackRefusal
from bot.slack.intake import request_from
from bot.slack.lost import label
from bot.slack.payloads import place_named, tells_of
from bot.slack.posts import Address, Posts

log = structlog.get_logger()


class SlackPostings:
    """What is said in Slack, by us and by others."""

    def __init__(self, posts: Posts) -> None:
        self._posts = posts

    async def take_back(
        self, team_id: str, *, channel_id: str, thread_ts: str, ts: str, reply_to: str, notice: str
    ) -> None:
        key = message_key(channel_id, reply_to)
        address = Address(team_id, "answer", key, channel_id, thread_ts, reply_to)
        shown = {"text": notice, "blocks": [rich_text(section(literal(notice)))], "metadata": label("answer", key)}
        try:
            await self._posts.change("chat.update", address, ts, shown)
        except MessageGone:
            return
        except (NotFound, SlackRefusal) as error:
            log.warning("answer.not_taken_back", channel_id=channel_id, ts=ts, reason=str(error))

    def tells_of(self, body: bytes, channel_id: str, ts: str) -> bool:
        return tells_of(request_from(body).get("event"), channel_id, ts)

    def is_of(self, body: bytes, channel_id: str) -> bool:
        return place_named(request_from(body)) == channel_id
