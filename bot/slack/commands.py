"""The slash commands. Whatever they answer, the asker alone sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.async_context import AsyncBoltContext
from slack_bolt.context.respond.async_respond import AsyncRespond

from bot.errors import DatabaseUnavailable, InvalidRequest, RecollectError
from bot.services.audience import AudienceService
from bot.services.documents import DocumentService
from bot.services.errands import command_errand
from bot.services.limits import Kind, LimitService
from bot.services.questions import is_only_a_greeting
from bot.services.search import SearchService
from bot.slack.blocks import Block, pager, passage_blocks, said, summary
from bot.slack.document_blocks import confirm_blocks, document_blocks, help_blocks, list_blocks
from bot.slack.inbox import Inbox
from bot.slack.payloads import Body, is_id, is_name
from bot.text.mrkdwn import plain_from
from bot.values import Audience

log = structlog.get_logger()

FOUND_PER_PAGE = 5
LISTED_PER_PAGE = 8
FIND_LIMIT = 300
"""Characters of a search that are looked for: they travel in a button, which holds 2,000 of JSON."""

Shown = tuple[str, list[Block]]
"""What notifications say, which is all there is to see where blocks are missing; and the blocks."""


class CommandListeners:
    """`/ask`, `/find` and `/docs`, whatever they are called here."""

    def __init__(
        self,
        inbox: Inbox,
        search: SearchService,
        documents: DocumentService,
        audiences: AudienceService,
        limits: LimitService,
        *,
        docs_command: str,
    ) -> None:
        self._inbox = inbox
        self._search = search
        self._documents = documents
        self._audiences = audiences
        self._limits = limits
        self._docs_command = docs_command

    async def on_ask(self, ack: AsyncAck, command: Body, context: AsyncBoltContext) -> None:
        """Answer privately; the question is stored before the person is told that it is looked up.

        Slack sends a command once: what can't be stored is said, and the person asks again.
        """
        if is_only_a_greeting(command.get("text") or ""):
            await ack(text=f"Ask me something: `{command['command']} When do we close on Fridays?`")
            return
        team_id, trigger_id, user_id = command.get("team_id"), command.get("trigger_id"), command.get("user_id")
        if not (is_id(team_id) and is_id(user_id) and is_name(trigger_id)):
            await ack(text=InvalidRequest.user_message)
            return
        errand = command_errand(team_id, trigger_id=trigger_id, user_id=user_id)
        try:
            await self._inbox.accept(context["raw"], event_id=errand.key, team_id=team_id, errands=[errand])
        except DatabaseUnavailable as error:
            await ack(text=error.user_message)
        else:
            await ack(text="Looking …")

    async def on_find(self, ack: AsyncAck, respond: AsyncRespond, command: Body) -> None:
        """Show the passages that fit some words."""
        words = " ".join(plain_from(command.get("text") or "", {}).split())[:FIND_LIMIT]
        if is_only_a_greeting(words):
            await ack(text=f"Give me words to look for: `{command['command']} travel expenses`")
            return
        await ack()
        await shown(respond, lambda: self._found(command, words))

    async def on_docs(self, ack: AsyncAck, respond: AsyncRespond, command: Body) -> None:
        """List, show, delete or read again what has been shared."""
        await ack()
        await shown(respond, lambda: self._docs(command))

    async def _found(self, command: Body, words: str) -> Shown:
        audience = await self._private(command)
        return await found_page(self._search, audience, words, offset=0)

    async def _docs(self, command: Body) -> Shown:
        verb, _, rest = (command.get("text") or "").strip().partition(" ")
        audience = await self._private(command)
        match verb or "list":
            case "list":
                page = await self._documents.list_page(audience, limit=LISTED_PER_PAGE)
                return "Documents", list_blocks(page)
            case "show":
                return "Document", document_blocks(await self._documents.get(audience, document_id_from(rest)))
            case "delete":
                return "Delete?", confirm_blocks(await self._documents.get(audience, document_id_from(rest)))
            case "retry":
                name = await self._documents.retry(audience, document_id_from(rest), by=f"slack:{command['user_id']}")
                return f"I'm reading {name} again.", []
            case _:
                return "Help", help_blocks(self._docs_command)

    async def _private(self, command: Body) -> Audience:
        """Return what the asker alone may read; every command that isn't a question begins here, and is counted."""
        await self._limits.admit(command["team_id"], command["user_id"], Kind.REQUESTS)
        return await self._audiences.of(
            command["team_id"], channel_id=command["channel_id"], user_id=command["user_id"], private=True
        )


async def found_page(search: SearchService, audience: Audience, words: str, *, offset: int) -> Shown:
    """Return one page of passages for some words, with a button to the next."""
    result = await search.search(words, audience=audience, limit=offset + FOUND_PER_PAGE + 1)
    passages = result.passages[offset : offset + FOUND_PER_PAGE]
    if not passages:
        return f"Nothing that you may read fits “{words[:200]}”.", []
    more = len(result.passages) > offset + FOUND_PER_PAGE
    forward: dict[str, Any] | None = {"words": words, "offset": offset + FOUND_PER_PAGE} if more else None
    blocks = passage_blocks(passages, first=offset + 1) + pager("find_more", forward=forward, label="More")
    return f"{len(passages)} passages", blocks


def document_id_from(text: str) -> UUID:
    """Return the id a person typed. Raises InvalidRequest."""
    try:
        return UUID(text.strip())
    except ValueError:
        message = "Which document? Give me its id, as the list shows it."
        raise InvalidRequest("no document id", user_message=message) from None


async def shown(
    respond: AsyncRespond,
    make: Callable[[], Awaitable[Shown]],
    *,
    replace: bool = False,
    thread_ts: str | None = None,
) -> None:
    """Send the asker what `make` returns, or the plain sentence of what it raises; in a thread when one is named."""
    try:
        text, blocks = await make()
    except RecollectError as error:
        log.warning("request.refused", error=type(error).__name__, reason=str(error))
        text, blocks = error.user_message, []
    await respond(
        text=summary(text),
        blocks=blocks or said(text),
        response_type="ephemeral",
        replace_original=replace,
        unfurl_links=False,
        unfurl_media=False,
        thread_ts=thread_ts,
    )
