"""Clicks on our buttons. What they show, the one who clicked alone sees."""

from __future__ import annotations

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond

from bot.errors import InvalidRequest
from bot.services.answers import AnswerService
from bot.services.audience import AudienceService
from bot.services.documents import DocumentService
from bot.services.errands import command_errand
from bot.services.limits import Kind, LimitService
from bot.services.search import SearchService
from bot.slack.blocks import passage_blocks
from bot.slack.commands import FIND_LIMIT, LISTED_PER_PAGE, Shown, document_id_from, found_page, shown
from bot.slack.document_blocks import confirm_blocks, document_blocks, list_blocks
from bot.slack.inbox import Inbox
from bot.slack.payloads import Body, bare_click, channel_of, click_from, forward_of, thread_of, value_of
from bot.values import Audience

NEAREST_SHOWN = 3
"""More would bury the thread."""
FOUND_AT_MOST = 1_000
"""Passages that anybody pages through."""


class ActionListeners:
    """The buttons under answers, search results and documents."""

    def __init__(
        self,
        inbox: Inbox,
        answers: AnswerService,
        search: SearchService,
        documents: DocumentService,
        audiences: AudienceService,
        limits: LimitService,
    ) -> None:
        self._inbox = inbox
        self._answers = answers
        self._search = search
        self._documents = documents
        self._audiences = audiences
        self._limits = limits

    async def on_nearest_passages(self, ack: AsyncAck, respond: AsyncRespond, body: Body, action: Body) -> None:
        """Show the passages nearest to a question that found nothing."""
        await ack()
        await shown(respond, lambda: self._nearest(body, action), thread_ts=thread_of(body))

    async def on_answer_privately(self, ack: AsyncAck, respond: AsyncRespond, body: Body) -> None:
        """Answer the one who clicked alone, from what they may read; that is work, stored before they are told."""
        await ack()
        await shown(respond, lambda: self._answer_privately(body), thread_ts=thread_of(body))

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
        await self._admit(body)
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

    async def _answer_privately(self, body: Body) -> Shown:
        click = click_from(body)
        if click is None:
            raise InvalidRequest("a click that asks nothing")
        if await self._answers.asked_before(click.team_id, channel_id=click.channel_id, ts=click.question_ts) is None:
            return "I don't have that question any more. Please ask it again.", []
        errand = command_errand(click.team_id, trigger_id=click.trigger_id, user_id=click.user_id)
        await self._inbox.accept(bare_click(body, click), event_id=errand.key, team_id=click.team_id, errands=[errand])
        return "Looking …", []

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
        return f"{name} is forgotten{'' if viewer.is_admin else ' wherever you shared it'}.", []

    async def _retry(self, body: Body, action: Body) -> Shown:
        name = await self._documents.retry(
            await self._private(body), document_id_from(value_of(action)), by=f"slack:{body['user']['id']}"
        )
        return f"I'm reading {name} again.", []

    async def _admit(self, body: Body) -> None:
        await self._limits.admit(body["team"]["id"], body["user"]["id"], Kind.REQUESTS)

    async def _private(self, body: Body) -> Audience:
        """Return what the one who clicked may read; counted as a request of theirs."""
        await self._admit(body)
        return await self._audiences.of(
            body["team"]["id"], channel_id=channel_of(body), user_id=body["user"]["id"], private=True
        )
