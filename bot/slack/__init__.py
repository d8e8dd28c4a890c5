"""Slack: what comes in as events, commands and clicks, and what goes out."""

from __future__ import annotations

import re

from slack_bolt.async_app import AsyncApp

from bot.slack.actions import ActionListeners
from bot.slack.commands import CommandListeners
from bot.slack.dispatch import on_error
from bot.slack.events import EventListeners

EVENTS = ("app_home_opened", "app_mention", "file_deleted", "message")
"""Events listened to; the manifest subscribes to `message` by its four channel types."""


def register(
    app: AsyncApp,
    *,
    events: EventListeners,
    commands: CommandListeners,
    actions: ActionListeners,
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
    app.event(re.compile(".+"))(events.on_other)
    ask, find, docs = names
    app.command(ask)(commands.on_ask)
    app.command(find)(commands.on_find)
    app.command(docs)(commands.on_docs)
    app.action("nearest_passages")(actions.on_nearest_passages)
    app.action("find_more")(actions.on_find_more)
    app.action("documents_more")(actions.on_documents_more)
    app.action("document_show")(actions.on_document_show)
    app.action("document_delete")(actions.on_document_delete)
    app.action("document_delete_confirmed")(actions.on_document_delete_confirmed)
    app.action("document_retry")(actions.on_document_retry)
