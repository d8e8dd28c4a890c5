"""Whose request it is, by what Slack says in it; and what else it tells of, where two workspaces share a channel.

Slack says it by whose installation is meant: the `authorizations` of an event, the workspace of a command or a click, or
the organisation where that let us in as a whole. The workspace in which something happened may be another company's, in
a channel both share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.slack.payloads import Body, change_place, is_id

_TRUE = (True, "true")

_SECOND = timedelta(seconds=1)
"""Slack tells whole seconds: what it says happened at that one may have happened at its end."""

_OF_CHANNELS = ("channel_", "group_", "member_joined_channel", "member_left_channel")
"""How the names of events begin that tell of a channel, or of who is in it."""


@dataclass(frozen=True, slots=True)
class Place:
    """What an event tells of that others may know too: a channel, or a file that is gone from wherever it was."""

    channel_id: str | None = None
    file_id: str | None = None


def addressed(body: Mapping[str, Any]) -> str | None:
    """Return whose installation is meant: a workspace's, or an organisation's where Slack says so or names nothing else.

    What names a workspace is for no organisation unless it is flagged: one workspace's farewell isn't all of theirs.
    """
    flagged = _first_authorization(body) or body
    if flagged.get("is_enterprise_install") in _TRUE:
        named = _id_of(flagged, "enterprise")
    elif _id_of(flagged, "team") or _id_of(body, "team"):
        named = _id_of(flagged, "team")
    else:
        named = _id_of(flagged, "enterprise") or _id_of(body, "enterprise")
    return named if is_id(named) else None


def readdress(body: dict[str, Any], team_id: str) -> None:
    """Let a request bear the id of the workspace that it is for."""
    if "team_id" in body:
        body["team_id"] = team_id
    if isinstance(body.get("team"), dict):
        body["team"] = {**body["team"], "id": team_id}


def copied_to(body: Mapping[str, Any], team_id: str) -> Body:
    """Return an event as another workspace would have got it, had Slack told that one."""
    return {**{name: value for name, value in body.items() if name != "authorizations"}, "team_id": team_id}


def shared_place(body: Mapping[str, Any]) -> Place | None:
    """Return what an event tells of, where another of our workspaces may have to know it as well; None where none may.

    Slack sends an event to an app once, and names one workspace that is to hear it, though several may be in a channel.
    """
    event = body.get("event")
    kind = event.get("type") if isinstance(event, dict) else None
    if not isinstance(event, dict) or not isinstance(kind, str):
        return None
    if kind == "file_deleted":
        file_id = event.get("file_id")
        return Place(file_id=file_id) if is_id(file_id) else None
    is_message = kind == "message" and body.get("is_ext_shared_channel") is not False
    channel_id = change_place(event) if is_message or kind.startswith(_OF_CHANNELS) else None
    return None if channel_id is None else Place(channel_id)


def is_uninstalled(body: Mapping[str, Any]) -> bool:
    """Tell whether an event says that the app was removed."""
    event = body.get("event")
    return isinstance(event, dict) and event.get("type") == "app_uninstalled"


def told_at(body: Mapping[str, Any]) -> datetime | None:
    """Return when an event happened at the latest, by Slack's clock; None where it doesn't say."""
    moment = body.get("event_time")
    if not isinstance(moment, int) or not 0 < moment < 2**33:
        return None
    return datetime.fromtimestamp(moment, UTC) + _SECOND


def _first_authorization(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return whose installation an event is for: Slack names one, whoever else could see it too."""
    listed = body.get("authorizations")
    return listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else None


def _id_of(body: Mapping[str, Any], what: str) -> object:
    """Return an id from a command's or event's flat field, or from a click's nested one."""
    inner = body.get(what)
    return inner.get("id") if isinstance(inner, dict) else body.get(f"{what}_id")
