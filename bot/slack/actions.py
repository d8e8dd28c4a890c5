"""Clicks on our buttons. What they show, the one who clicked alone sees."""

from __future__ import annotations

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond

from bot.errors import InvalidRequest
from bot.services.answers import AnswerService
from bot.services.audience import AudienceService
from bot.services.documents import DocumentService
from bot.services.search import SearchService
from bot.slack.blocks import passage_blocks
from bot.slack.commands import FIND_LIMIT, LISTED_PER_PAGE, Shown, document_id_from, found_page, shown
from bot.slack.document_blocks import confirm_blocks, document_blocks, list_blocks
from bot.slack.payloads import Body, channel_of, forward_of, is_ts, value_of
from bot.values import Audience

NEAREST_SHOWN = 3
"""More would bury the thread."""
FOUND_AT_MOST = 1_000
"""Passages that anybody pages through."""


class ActionListeners:
    """The buttons under answers, search results and documents."""

    def __init__(
        self,
        answers: AnswerService,
        search: SearchService,
        documents: DocumentService,
        audiences: AudienceService,
    ) -> None:
        self._answers = answers
        self._search = search
        self._documents = documents
        self._audiences = audiences

    async def on_nearest_passages(self, ack: AsyncAck, respond: AsyncRespond, body: Body, action: Body) -> None:
        """Show the passages nearest to a question that found nothing."""
        await ack()
        thread_ts = _thread_of(body)
        await shown(respond, lambda: self._nearest(body, action), thread_ts=thread_ts)

    async def on_find_more(self, ack: AsyncAck, respond: AsyncRespond, body: Body, action: Body) -> None:
        """Show the next page of a search."""
        await ack()
        await shown(respond, lambda: self._find_more(body, action), replace=True)

    async def on_documents_more(self, ack: AsyncAck, respond: AsyncRespond, body: Body, action: Body) -> None:
        """Show the next page of documents."""
        await ack()
        await shown(respond, lambda: self._documents_more(body, action), replace=True)

    async def on_document_show(self, ack: AsyncAck, respond: AsyncRespond, body: Body, action: Body) -> None:
        """Open one document."""
        await ack()
        await shown(respond, lambda: self._show(body, action), replace=True)

    async def on_document_delete(self, ack: AsyncAck, respond: AsyncRespond, body: Body, action: Body) -> None:
        """Ask before deleting."""
        await ack()
        await shown(respond, lambda: self._confirm(body, action), replace=True)

    async def on_document_delete_confirmed(
        self, ack: AsyncAck, respond: AsyncRespond, body: Body, action: Body
    ) -> None:
        """Delete a document, if the one who clicked may."""
        await ack()
        await shown(respond, lambda: self._delete(body, action), replace=True)

    async def on_document_retry(self, ack: AsyncAck, respond: AsyncRespond, body: Body, action: Body) -> None:
        """Read a document in error again."""
        await ack()
        await shown(respond, lambda: self._retry(body, action), replace=True)

    async def _nearest(self, body: Body, action: Body) -> Shown:
        channel_id, _, ts = value_of(action).partition(":")
        if channel_id == "private":  # a command's question: private:USER:command:TRIGGER
            user_id, _, ts = ts.partition(":")
            channel_id = f"private:{user_id}"
        passages = await self._answers.nearest(
            body["team"]["id"], channel_id=channel_id, ts=ts, user_id=body["user"]["id"]
        )
        if not passages:
            return "Nothing that you may read comes near.", []
        return "The nearest passages", passage_blocks(passages[:NEAREST_SHOWN])

    async def _find_more(self, body: Body, action: Body) -> Shown:
        asked = forward_of(action)
        words, offset = asked.get("words"), asked.get("offset")
        if not (isinstance(words, str) and isinstance(offset, int) and 0 <= offset <= FOUND_AT_MOST):
            raise InvalidRequest("a button with an odd value")
        return await found_page(self._search, await self._private(body), words[:FIND_LIMIT], offset=offset)

    async def _documents_more(self, body: Body, action: Body) -> Shown:
        after = document_id_from(str(forward_of(action).get("after")))
        page = await self._documents.list_page(await self._private(body), after=after, limit=LISTED_PER_PAGE)
        return "Documents", list_blocks(page)

    async def _show(self, body: Body, action: Body) -> Shown:
        view = await self._documents.get(await self._private(body), document_id_from(value_of(action)))
        return "Document", document_blocks(view)

    async def _confirm(self, body: Body, action: Body) -> Shown:
        view = await self._documents.get(await self._private(body), document_id_from(value_of(action)))
        return "Delete?", confirm_blocks(view)

    async def _delete(self, body: Body, action: Body) -> Shown:
        viewer = await self._documents.viewer(body["team"]["id"], body["user"]["id"])
        name = await self._documents.delete(
            await self._private(body),
            document_id_from(value_of(action)),
            user_id=viewer.id,
            is_admin=viewer.is_admin,
        )
        return f"{name} is forgotten.", []

    async def _retry(self, body: Body, action: Body) -> Shown:
        name = await self._documents.retry(await self._private(body), document_id_from(value_of(action)))
        return f"I'm reading {name} again.", []

    async def _private(self, body: Body) -> Audience:
        return await self._audiences.of(
            body["team"]["id"], channel_id=channel_of(body), user_id=body["user"]["id"], private=True
        )


def _thread_of(body: Body) -> str | None:
    """Return the thread in which something was clicked, None outside one."""
    container = body.get("container")
    thread_ts = container.get("thread_ts") if isinstance(container, dict) else None
    return thread_ts if is_ts(thread_ts) else None
