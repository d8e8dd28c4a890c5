"""The people and places a newcomer finds in the demo."""

from __future__ import annotations

from bot.playground.local import LocalSlack
from bot.values import ChannelKind, UserKind


def furnish(slack: LocalSlack) -> None:
    """Move Ada, Ben and Cleo in, with two public channels and a private one; nothing has been said yet."""
    ada = slack.add_user("Ada", email="ada@example.com", is_admin=True)
    ben = slack.add_user("Ben", email="ben@example.com")
    cleo = slack.add_user("Cleo", email="cleo@example.com", kind=UserKind.GUEST)
    slack.add_channel("general", members=[ada, ben, cleo], topic="Everything and everyone")
    slack.add_channel("handbook", members=[ada, ben], topic="How we work")
    slack.add_channel("leads", kind=ChannelKind.PRIVATE, members=[ada], topic="Plans that aren't ripe yet")
