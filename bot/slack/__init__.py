"""Slack: what comes in as events, commands and clicks, and what goes out."""

from __future__ import annotations

import re

from slack_bolt.async_app import AsyncApp

from bot.slack.actions import ActionListeners
from bot.slack.commands import CommandListeners
from bot.slack.dispatch import on_error
from bot.slack.events import EventListeners
from bot.slack.membership import MembershipListeners
from bot.slack.uninstalling import UninstallListeners

EVENTS = (
    *("app_home_opened", "app_mention", "app_uninstalled", "file_deleted", "message", "tokens_revoked"),
    *("channel_archive", "channel_deleted", "channel_id_changed", "channel_left", "channel_rename", "channel_shared"),
    *("channel_unarchive", "channel_unshared", "group_archive", "group_deleted", "group_left", "group_rename"),
    *("group_unarchive", "member_joined_channel", "member_left_channel", "team_join", "user_change"),
)
"""Events listened to; the manifest subscribes to `message` by its four channel types."""


def register(
    app: AsyncApp,
    *,
    events: EventListeners,
    membership: MembershipListeners,
    commands: CommandListeners,
    actions: ActionListeners,
    uninstalling: UninstallListeners,
    names: tuple[str, str, str],
) -> None:
    """Attach every listener; `names` are the slash commands for asking, searching and documents.

    `manifest.yml` declares just these (tests/test_promises.py).
    """
    app.error(on_error)
    app.middleware(events.on_any)
    app.event("app_mention")(events.on_app_mention)
    app.event("message")(events.on_message)
    app.event("file_deleted")(events.on_file_deleted)
    app.event("app_home_opened")(events.on_app_home_opened)
    app.event("app_uninstalled")(uninstalling.on_app_uninstalled)
    app.event("tokens_revoked")(uninstalling.on_tokens_revoked)
    app.event("member_joined_channel")(membership.on_member_joined)
    app.event("member_left_channel")(membership.on_member_left)
    app.event("user_change")(membership.on_person_changed)
    app.event("team_join")(membership.on_person_changed)
    app.event("channel_left")(membership.on_channel_changed)
    app.event("channel_archive")(membership.on_channel_changed)
    app.event("channel_unarchive")(membership.on_channel_changed)
    app.event("channel_deleted")(membership.on_channel_deleted)
    app.event("channel_rename")(membership.on_channel_changed)
    app.event("channel_shared")(membership.on_channel_changed)
    app.event("channel_unshared")(membership.on_channel_changed)
    app.event("channel_id_changed")(membership.on_channel_changed)
    app.event("group_left")(membership.on_channel_changed)
    app.event("group_archive")(membership.on_channel_changed)
    app.event("group_unarchive")(membership.on_channel_changed)
    app.event("group_deleted")(membership.on_channel_deleted)
    app.event("group_rename")(membership.on_channel_changed)
    app.event(re.compile(".+"))(events.on_other)
    ask, find, docs = names
    app.command(ask)(commands.on_ask)
    app.command(find)(commands.on_find)
    app.command(docs)(commands.on_docs)
    app.action("nearest_passages")(actions.on_nearest_passages)
    app.action("answer_privately")(actions.on_answer_privately)
    app.action("find_more")(actions.on_find_more)
    app.action("documents_more")(actions.on_documents_more)
    app.action("document_show")(actions.on_document_show)
    app.action("document_delete")(actions.on_document_delete)
    app.action("document_delete_confirmed")(actions.on_document_delete_confirmed)
    app.action("document_retry")(actions.on_document_retry)
