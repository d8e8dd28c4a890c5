"""Listeners of what changes about channels and people: each marks what has to be read from Slack again.

The mark is stored before Slack is told, so the question that follows finds it, in whichever process. Nothing else of these
events is kept; but that a channel is deleted is work as well.
"""

from __future__ import annotations

from slack_bolt.context.async_context import AsyncBoltContext

from bot.slack.inbox import Inbox
from bot.slack.payloads import Body, change_place, changed_person, is_id, place_of


class MembershipListeners:
    """What the bot hears of who is where, and of what kind."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def on_member_joined(self, body: Body, event: Body) -> None:
        """Somebody came into a channel."""
        team_id, user_id = _team(body), event.get("user")
        if team_id and is_id(user_id) and (channel_id := change_place(event)):
            await self._inbox.note(team_id, lambda known: known.record_member(team_id, channel_id, user_id))

    async def on_member_left(self, body: Body, event: Body) -> None:
        """Somebody left a channel, or was taken out of it."""
        team_id, user_id = _team(body), event.get("user")
        if team_id and is_id(user_id) and (channel_id := change_place(event)):
            await self._inbox.note(team_id, lambda known: known.delete_member(team_id, channel_id, user_id))

    async def on_channel_changed(self, body: Body, event: Body) -> None:
        """A channel was archived or brought back, renamed, shared with another company, or lost to the bot."""
        if (team_id := _team(body)) and (channel_id := change_place(event)):
            await self._inbox.note(team_id, lambda known: known.record_channel_change(team_id, channel_id))

    async def on_channel_deleted(self, body: Body, event: Body, context: AsyncBoltContext) -> None:
        """A channel is gone from Slack, and so is all that it held from here.

        Of one that another of our workspaces deleted, Slack is asked what it is in this one.
        """
        if context.get("is_copy"):
            await self.on_channel_changed(body, event)
            return
        channel_id = change_place(event)
        if (place := place_of(body)) and channel_id:
            event_id, team_id = place
            await self._inbox.close_channel(context["raw"], event_id=event_id, team_id=team_id, channel_id=channel_id)

    async def on_person_changed(self, body: Body, event: Body) -> None:
        """Somebody came into the workspace, or isn't what they were: a guest, a member, deactivated.

        Whose account ends in Slack has no key here any more; what they said and shared stays with those it was for.
        """
        if (team_id := _team(body)) and (person := changed_person(event, team_id=team_id)):
            await self._inbox.note_person(team_id, person)


def _team(body: Body) -> str | None:
    place = place_of(body)
    return None if place is None else place[1]
