"""What one person alone sees is sent again when nobody knows whether it came, and never when it did."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.errors import NotFound, ServiceUnavailable, Superseded
from bot.services.ports import Unclaimed
from bot.slack.client import RateLimited
from bot.slack.private import PrivateReply
from bot.values import Question
from tests.conftest import TEAM
from tests.slack.posting import answer

QUESTION = Question(TEAM, "private:U1", "U1", "command:1.2", "command:1.2", "When?")
MakeReply = Callable[[], PrivateReply]


@dataclass
class ResponseUrl:
    """A response_url: answers with `statuses` in turn, then 200; 0 drops the connection after having taken it."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    taken: list[dict[str, Any]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        status = self.statuses.pop(0) if self.statuses else 200
        if status in (0, 200):
            self.taken.append(body)
        if status == 0 and request.transport is not None:
            request.transport.close()
        return web.Response(text="ok", status=status or 200, headers=self.headers)


class Overtaken(Unclaimed):
    """The claim of one who was taken for dead."""

    async def hold(self, session: AsyncSession) -> None:
        raise Superseded("somebody else has it")


@pytest.fixture
async def asker() -> AsyncIterator[ResponseUrl]:
    """The person who asked, by their response_url."""
    asker = ResponseUrl()
    app = web.Application()
    app.router.add_post("/", asker.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    asker.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield asker
    await runner.cleanup()


@pytest.fixture
async def make_reply(sessions: Sessions, asker: ResponseUrl) -> AsyncIterator[MakeReply]:
    """Make the reply anew, as each attempt does."""
    async with aiohttp.ClientSession() as http:
        yield lambda: PrivateReply(sessions, http, QUESTION, Unclaimed(), response_url=asker.url)


async def test_the_answer_is_sent_once_however_often_it_is_finished(asker: ResponseUrl, make_reply: MakeReply) -> None:
    first = await make_reply().finish(answer("Nine."))
    again = await make_reply().finish(answer("Ten."))

    assert first == again == "command:1.2:answer"
    [message] = asker.taken
    assert (message["text"], message["response_type"]) == ("Nine.", "ephemeral")


@pytest.mark.parametrize("status", [0, 500, 502])
async def test_what_may_not_have_come_is_sent_again(asker: ResponseUrl, make_reply: MakeReply, status: int) -> None:
    asker.statuses = [status]

    with pytest.raises(ServiceUnavailable):
        await make_reply().finish(answer("Nine."))
    await make_reply().finish(answer("Nine."))
    await make_reply().finish(answer("Nine."))

    assert len(asker.taken) == (2 if status == 0 else 1)


async def test_who_lost_the_work_sends_nothing(asker: ResponseUrl, sessions: Sessions) -> None:
    async with aiohttp.ClientSession() as http:
        reply = PrivateReply(sessions, http, QUESTION, Overtaken(), response_url=asker.url)
        with pytest.raises(Superseded):
            await reply.finish(answer("Nine."))

    assert asker.taken == []


async def test_an_apology_is_final_too(asker: ResponseUrl, make_reply: MakeReply) -> None:
    await make_reply().apologise("I couldn't.")
    await make_reply().finish(answer("Nine."))

    assert [message["text"] for message in asker.taken] == ["I couldn't."]


@pytest.mark.parametrize(("said", "meant"), [("7", 7.0), ("", 1.0)])
async def test_a_limit_is_left_to_the_queue(asker: ResponseUrl, make_reply: MakeReply, said: str, meant: float) -> None:
    asker.statuses, asker.headers = [429], {"Retry-After": said}

    with pytest.raises(RateLimited) as error:
        await make_reply().finish(answer("Nine."))

    assert error.value.retry_after_s == meant


async def test_a_url_that_is_used_up_ends_the_work(asker: ResponseUrl, make_reply: MakeReply) -> None:
    asker.statuses = [404]

    with pytest.raises(NotFound):
        await make_reply().finish(answer("Nine."))


async def test_a_url_nobody_serves_is_waited_for(
    asker: ResponseUrl, make_reply: MakeReply, unused_tcp_port: int
) -> None:
    asker.url = f"http://127.0.0.1:{unused_tcp_port}/"

    with pytest.raises(ServiceUnavailable):
        await make_reply().finish(answer("Nine."))


async def test_nothing_is_shown_before_and_nothing_taken_back(asker: ResponseUrl, make_reply: MakeReply) -> None:
    reply = make_reply()

    await reply.show_status("Reading …")
    await reply.append("Nine.")
    await reply.withdraw()

    assert asker.taken == []
