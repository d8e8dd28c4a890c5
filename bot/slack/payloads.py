"""What people write in Slack, read out of its events: whatever isn't shaped as Slack shapes it means nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from bot.errors import InvalidRequest
from bot.text.mrkdwn import mentioned_ids
from bot.values import Person, UserKind

Body = dict[str, Any]

_HEARD = (None, "file_share", "thread_broadcast")
"""Subtypes of `message` that a person wrote; the others are edits, deletions and notices."""

_CONVERSIONS = ("channel_convert_to_private", "channel_convert_to_public")
"""Subtypes of `message` that Slack's published types leave out; there is no other event for it."""

_ID = re.compile(r"[A-Z0-9]{1,40}")
_TS = re.compile(r"[0-9]{1,12}\.[0-9]{1,9}")
_URL = re.compile(r"https?://[a-zA-Z0-9.-]{1,250}(:[0-9]{1,5})?/[!-~]{0,1000}")
_NAME_LIMIT = 250
"""Characters of the names that Slack gives to events, commands and gestures; its own are far shorter."""


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """Something a person wrote, in Slack's markup. `thread_ts` is the thread's root, which is `ts` for a new one."""

    channel_id: str
    ts: str
    thread_ts: str
    user_id: str
    text: str
    is_direct: bool
    file_ids: tuple[str, ...] = ()
    gesture: str | None = None

    def mentions(self, user_id: str) -> bool:
        """Tell whether the message names this person, or bot."""
        return user_id in mentioned_ids(self.text)


@dataclass(frozen=True, slots=True)
class Edit:
    """A message that says something else now; `previous` is None when Slack doesn't tell what it said."""

    message: SlackMessage
    previous: SlackMessage | None

    def asks(self, bot_user_id: str) -> bool:
        """True when the edit is what first named the bot, as far as Slack tells what stood there before."""
        if self.previous is None or self.message.is_direct:
            return False
        return self.message.mentions(bot_user_id) and not self.previous.mentions(bot_user_id)


@dataclass(frozen=True, slots=True)
class Deletion:
    """A message that is gone."""

    channel_id: str
    ts: str


@dataclass(frozen=True, slots=True)
class Click:
    """A press of the button that asks a question of this channel again, for the one who pressed."""

    team_id: str
    user_id: str
    channel_id: str
    question_ts: str
    trigger_id: str
    thread_ts: str | None


def click_from(body: Body) -> Click | None:
    """Return who asks which question again; None for nonsense, and for a question of another place than the button's."""
    team_id, user_id, channel_id = (_field(body, name, "id") for name in ("team", "user", "channel"))
    actions, trigger_id = body.get("actions"), body.get("trigger_id")
    first = actions[0] if isinstance(actions, list) and actions and isinstance(actions[0], dict) else {}
    asked_in, _, question_ts = str(first.get("value")).partition(":")
    if not (is_id(team_id) and is_id(user_id) and is_id(channel_id) and is_ts(question_ts) and is_name(trigger_id)):
        return None
    click = Click(team_id, user_id, channel_id, question_ts, trigger_id, thread_of(body))
    return click if asked_in == channel_id else None


def bare_click(body: Body, click: Click) -> bytes:
    """Return what opening a click again needs, as Slack shapes it: nothing of the message in which it was made."""
    action = body["actions"][0]
    bare = {
        "type": "block_actions",
        "team": {"id": click.team_id},
        "user": {"id": click.user_id},
        "channel": {"id": click.channel_id},
        "container": {} if click.thread_ts is None else {"thread_ts": click.thread_ts},
        "actions": [{name: action.get(name) for name in ("action_id", "value")}],
        "trigger_id": click.trigger_id,
        "response_url": body.get("response_url"),
    }
    return json.dumps(bare).encode()


def thread_of(body: Body) -> str | None:
    """Return the thread in which somebody pressed a button; None outside of any."""
    thread_ts = _field(body, "container", "thread_ts")
    return thread_ts if is_ts(thread_ts) else None


def message_from(event: object) -> SlackMessage | None:
    """Return what a person wrote; None for what apps write, for notices, and for nonsense."""
    if not isinstance(event, dict) or event.get("subtype") not in _HEARD or event.get("bot_id"):
        return None
    channel_id, user_id, ts = event.get("channel"), event.get("user"), event.get("ts")
    thread_ts, text = event.get("thread_ts") or ts, event.get("text") or ""
    if not (is_id(channel_id) and is_id(user_id) and is_ts(ts) and is_ts(thread_ts) and isinstance(text, str)):
        return None
    gesture = event.get("client_msg_id")
    return SlackMessage(
        channel_id,
        ts,
        thread_ts,
        user_id,
        text,
        is_direct=event.get("channel_type") == "im",
        file_ids=_file_ids(event.get("files")),
        gesture=gesture if is_name(gesture) else None,
    )


def edit_from(event: object) -> Edit | None:
    """Return what was edited, from a `message_changed`; None for everything else."""
    if not isinstance(event, dict) or event.get("subtype") != "message_changed":
        return None
    message = message_from(_inside(event, "message"))
    return Edit(message, message_from(_inside(event, "previous_message"))) if message else None


def deletion_from(event: object) -> Deletion | None:
    """Return which message is gone, whoever had written it, we or another app too; None for everything else.

    A message with replies isn't deleted but changed into a `tombstone`.
    """
    if not isinstance(event, dict):
        return None
    channel_id, ts = event.get("channel"), None
    if event.get("subtype") == "message_deleted":
        ts = event.get("deleted_ts")
    elif event.get("subtype") == "message_changed" and _inside(event, "message").get("subtype") == "tombstone":
        ts = _inside(event, "message").get("ts")
    return Deletion(channel_id, ts) if is_id(channel_id) and is_ts(ts) else None


def tells_of(event: object, channel_id: str, ts: str) -> bool:
    """Tell whether an event is about the message with this ts: as it was said, changed or deleted."""
    if not isinstance(event, dict) or event.get("channel") != channel_id:
        return False
    messages = (event, *(_inside(event, name) for name in ("message", "previous_message")))
    return ts in {event.get("deleted_ts"), *(message.get("ts") for message in messages)}


def place_named(request: Body) -> str | None:
    """Return the channel of an event, of a command or of a click; None for what belongs to none."""
    if "command" in request:
        named = request.get("channel_id")
    elif "actions" in request:
        named = _field(request, "channel", "id")
    else:
        event = request.get("event")
        named = change_place(event) or event.get("channel_id") if isinstance(event, dict) else None
    return named if is_id(named) else None


def converted_channel(event: object) -> str | None:
    """Return which channel was made private or public: Slack tells it by a notice in the channel alone."""
    if not isinstance(event, dict) or event.get("subtype") not in _CONVERSIONS:
        return None
    return change_place(event)


def change_place(event: Mapping[str, Any]) -> str | None:
    """Return the channel that an event about a channel names: by its id, described, or by the id it had."""
    channel = event.get("channel") or event.get("old_channel_id")
    channel_id = channel.get("id") if isinstance(channel, dict) else channel
    return channel_id if is_id(channel_id) else None


def changed_person(event: Mapping[str, Any], *, team_id: str) -> Person | None:
    """Return the person whom an event about one describes."""
    user = event.get("user")
    return person_from(user, team_id=team_id) if isinstance(user, dict) and is_id(user.get("id")) else None


def person_from(user: dict[str, Any], *, team_id: str) -> Person:
    """Return a person from Slack's user object; whoever isn't surely a full member counts as less."""
    profile = user["profile"] if isinstance(user.get("profile"), dict) else {}
    at_home = (user.get("team_id", team_id), _field(user, "enterprise_user", "enterprise_id"))
    if user.get("is_stranger") or team_id not in at_home:
        kind = UserKind.EXTERNAL
    elif user.get("is_restricted") or user.get("is_ultra_restricted"):
        kind = UserKind.GUEST
    else:
        kind = UserKind.MEMBER
    name = profile.get("display_name") or user.get("real_name") or profile.get("real_name") or user.get("name")
    return Person(
        user["id"],
        name or user["id"],
        email=profile.get("email") if kind is UserKind.MEMBER else None,
        kind=kind,
        is_admin=bool(user.get("is_admin") or user.get("is_owner")),
        is_deactivated=bool(user.get("deleted")),
    )


def asked_message(event: object) -> SlackMessage | None:
    """Return the message in which a stored event asks: the event itself, or what an edit made of a message."""
    edit = edit_from(event)
    return edit.message if edit else message_from(event)


def place_of(body: Body) -> tuple[str, str] | None:
    """Return an event's id and its workspace; None for what can't have come from Slack."""
    event_id, team_id = body.get("event_id"), body.get("team_id")
    return (event_id, team_id) if is_name(event_id) and is_id(team_id) else None


def is_id(value: object) -> TypeGuard[str]:
    """Tell whether this can be one of Slack's ids."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def is_ts(value: object) -> TypeGuard[str]:
    """Tell whether this can be one of Slack's timestamps, such as `1700000000.000100`."""
    return isinstance(value, str) and _TS.fullmatch(value) is not None


def is_name(value: object) -> TypeGuard[str]:
    """Tell whether this can be what Slack calls an event, a command or a gesture."""
    return isinstance(value, str) and 0 < len(value) <= _NAME_LIMIT and value.isprintable()


def is_command(body: Body) -> bool:
    """Tell whether a slash command says who uses it, where, and where to answer."""
    return all(is_id(body.get(name)) for name in ("team_id", "user_id", "channel_id")) and _is_answerable(body)


def is_click(body: Body) -> bool:
    """Tell whether a click says who clicked in which workspace, and on what; in a channel, where and how to answer."""
    actions, channel = body.get("actions"), body.get("channel")
    if not (isinstance(actions, list) and actions and all(isinstance(action, dict) for action in actions)):
        return False
    if not (_has_id(body.get("user")) and _has_id(body.get("team"))):
        return False
    return channel is None or (_has_id(channel) and _is_answerable(body))


def value_of(action: Body) -> str:
    """Return what a button of ours carries. Raises InvalidRequest for one that isn't ours."""
    value = action.get("value")
    if not isinstance(value, str):
        raise InvalidRequest("a button without a value")
    return value


def forward_of(action: Body) -> Body:
    """Return what a button to a next page carries. Raises InvalidRequest for one that isn't ours."""
    try:
        forward = json.loads(value_of(action))
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("a button with an odd value") from error
    if not isinstance(forward, dict):
        raise InvalidRequest("a button with an odd value")
    return forward


def channel_of(body: Body) -> str:
    """Return in which channel a click was made. Raises InvalidRequest for one made elsewhere."""
    if not body.get("channel"):
        raise InvalidRequest("a click in no channel")
    return str(body["channel"]["id"])


def _is_answerable(body: Body) -> bool:
    """Tell whether a request names the address that its answer goes to."""
    url = body.get("response_url")
    return isinstance(url, str) and _URL.fullmatch(url) is not None


def _has_id(value: object) -> bool:
    return isinstance(value, dict) and is_id(value.get("id"))


def _inside(event: Mapping[str, Any], name: str) -> Body:
    """Return the message that an event is about, with the place the event names; {} when there is none."""
    inner = event.get(name)
    if not isinstance(inner, dict):
        return {}
    return {**inner, "channel": event.get("channel"), "channel_type": event.get("channel_type")}


def _field(body: Body, name: str, field: str) -> object:
    inner = body.get(name)
    return inner.get(field) if isinstance(inner, dict) else None


def _file_ids(files: object) -> tuple[str, ...]:
    """Return the ids of the files that are there: Slack leaves a tombstone in the place of a deleted one."""
    listed = files if isinstance(files, list) else []
    present = (file for file in listed if isinstance(file, dict) and file.get("mode") != "tombstone")
    return tuple(dict.fromkeys(file["id"] for file in present if is_id(file.get("id"))))
