"""One message of ours: posted once, however often and by however many it is begun.

Who wants to post claims the delivery first. Slack has no key against doing a thing twice, so after a failure that
leaves open whether the message stands there, it is looked for. When two have posted all the same (one of them was
thought dead), the ts that was noted first stays, and who noted second deletes its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog

from bot.db.engine import Session
from bot.errors import NotFound, ServiceUnavailable, Superseded
from bot.repositories.deliveries import DeliveryRepository
from bot.services.ports import Claim
from bot.slack.client import PATIENCE_S, MessageGone, RateLimited, SlackRefusal, Unanswered, Unsupported
from bot.slack.lost import label
from bot.slack.posts import Address, Posts

log = structlog.get_logger()

ENDED = frozenset({"final", "apology"})
_WITHDRAWN = "withdrawn"
_PLAIN = {"unfurl_links": False, "unfurl_media": False}
"""Of the methods used here only chat.postMessage has these; an update leaves them as they are."""
_UNPARSED = {"parse": "none", "link_names": False}
"""Slack makes no links of what stands in `text`; unasked, chat.update does, and chat.postMessage of bare addresses."""
_POSTS_AT_MOST = 3
_LOOKS_AFTER_S = (0.0, 0.5, 1.5)
"""Between the looks for a message: it may show in the thread later than it was posted."""
_STILL_STREAMING = "streaming_state_conflict"

Blocks = Sequence[Mapping[str, Any]]


class ClaimedMessage:
    """The message at one address, while the claim holds.

    `ts` is None until it is posted or found. `state` is what its delivery said when it was found. Each method raises
    Superseded when somebody else has taken the work on, and ServiceUnavailable when Slack or the database doesn't
    answer: another attempt then goes on from what stands there.
    """

    def __init__(self, posts: Posts, address: Address, claim: Claim) -> None:
        self._posts = posts
        self._address = address
        self._claim = claim
        self._label = label(address.kind, address.key)
        self._name = (address.team_id, address.kind, address.key)
        self._claimed = False
        self._has_turn = False
        self.ts: str | None = None
        self.state = "posting"

    async def show(self, text: str, blocks: Blocks, *, state: str = "final") -> str:
        """Make the message say this and nothing else, posted or changed; return its ts."""
        arguments = self.content(text, blocks)
        for _ in range(_POSTS_AT_MOST):
            if await self.post("chat.postMessage", arguments, state=state):
                break
            await self.note(state)
            try:
                await self._change(arguments)
            except MessageGone:
                await self._forget()
            else:
                break
        return self._posted_ts()

    def content(self, text: str, blocks: Blocks) -> dict[str, Any]:
        """Return what chat.postMessage and chat.update are told, without the place."""
        return {"text": text, "blocks": list(blocks), "metadata": self._label, **_UNPARSED}

    async def post(self, method: str, arguments: Mapping[str, Any], *, state: str) -> bool:
        """Post by this method and return True; False when the message stands there already, and is to be changed.

        Raises NotFound, SlackRefusal or Unsupported when Slack won't: nothing was posted then.
        """
        if self.ts is None and not self._claimed:
            await self._take_on()
        for _ in range(_POSTS_AT_MOST):
            if self.ts is not None:
                return False
            if not self._has_turn:
                await self._take_turn()
            try:
                plain = _PLAIN if method == "chat.postMessage" else {}
                ts = await self._posts.post(method, self._address, {**arguments, **plain})
            except RateLimited as error:
                await self._take_turn(after_s=error.wait_s)
            except Unanswered as error:
                log.warning("post.unanswered", reason=str(error))
                self._has_turn = False
                await self._find()
            else:
                self._has_turn = False
                return await self._keep(ts, state)
        self._posted_ts()
        return False

    async def note(self, state: str) -> None:
        """Note how far the message is. First of all: who has lost the work changes nothing that others wrote."""
        async with self._holding() as session:
            noted = await DeliveryRepository(session).set_posted(*self._name, self._posted_ts(), state)
        if noted is None:
            raise Superseded("the message was withdrawn")
        self.ts, self.state = noted, state

    async def stop(self, blocks: Blocks = (), *, last_text: str = "") -> bool:
        """End the message's stream, which gives it its label; False when it had ended already, or isn't one."""
        arguments: dict[str, object] = {"metadata": self._label}
        if blocks:
            arguments["blocks"] = list(blocks)
        if last_text:
            arguments["markdown_text"] = last_text
        try:
            await self._posts.change("chat.stopStream", self._address, self._posted_ts(), arguments)
        except (MessageGone, SlackRefusal, Unsupported) as error:
            log.info("stream.not_stopped", reason=str(error))
            return False
        return True

    async def withdraw(self) -> None:
        """Delete what was posted, and let nothing be posted again. Needs no claim: who has one finds it withdrawn."""
        async with self._posts.sessions.tenant(self._address.team_id) as session:
            withdrawn = await DeliveryRepository(session).withdraw(*self._name)
        if withdrawn is None:
            return
        try:
            posted = [withdrawn.ts] if withdrawn.ts is not None else await self._look()
        except NotFound as error:
            log.info("thread.gone", reason=str(error))
            return
        for ts in posted:
            await self._posts.delete(self._address, ts)

    async def _take_on(self) -> None:
        """Claim the delivery, with a turn in the channel when we are the first; else find what others posted."""
        wait_s = 0.0
        async with self._holding() as session:
            claimed = await DeliveryRepository(session).claim(
                *self._name, channel_id=self._address.channel_id, thread_ts=self._address.thread_ts
            )
            if claimed.created:
                wait_s = await self._reserve(session)
        if claimed.state == _WITHDRAWN:
            raise Superseded("the message was withdrawn")
        self._claimed, self.ts, self.state = True, claimed.ts, claimed.state
        if claimed.created:
            await self._wait(wait_s)
        elif self.ts is None:
            await self._find()

    async def _take_turn(self, *, after_s: float | None = None) -> None:
        """Wait for a turn in the channel; `after_s`: Slack has just said that it takes nothing for so long."""
        wait_s = 0.0
        async with self._posts.sessions.tenant(self._address.team_id) as session:
            lost = await self._lost(session)
            if after_s is not None:
                await self._posts.push_back(session, self._address, after_s)
            if lost is None:
                wait_s = await self._reserve(session)
        if lost is not None:
            raise lost
        await self._wait(wait_s)

    async def _reserve(self, session: Session) -> float:
        """Return the seconds until our turn; when that is too long, the next attempt is as good as the first."""
        wait_s = await self._posts.reserve(session, self._address)
        if wait_s > PATIENCE_S:
            await DeliveryRepository(session).delete_unposted(*self._name)
            self._claimed = False
        return wait_s

    async def _wait(self, wait_s: float) -> None:
        await self._posts.wait(self._address, wait_s)
        self._has_turn = True

    async def _keep(self, ts: str, state: str) -> bool:
        """Note where we posted; False, and ours deleted, when another stands there.

        Who has lost the work meanwhile notes it too: what is known is found by the one who has it now, or deleted
        again by whoever of the two comes second.
        """
        async with self._posts.sessions.tenant(self._address.team_id) as session:
            lost = await self._lost(session)
            noted = await DeliveryRepository(session).set_posted(*self._name, ts, state)
        if noted != ts:
            log.warning("post.unwanted", ts=ts, noted=noted)
            await self._posts.delete(self._address, ts)
        if lost is not None:
            raise lost
        if noted is None:
            raise Superseded("the message was withdrawn")
        self.ts = noted
        if noted == ts:
            self.state = state
        return noted == ts

    async def _find(self) -> None:
        """Find what may have been posted: go on with one, delete the others."""
        for pause_s in _LOOKS_AFTER_S:
            await asyncio.sleep(pause_s)
            if found := await self._look():
                break
        else:
            return
        first, *others = found
        for ts in others:
            await self._posts.delete(self._address, ts)
        log.info("post.found", ts=first, deleted=len(others))
        await self._keep(first, "posted")

    async def _look(self) -> list[str]:
        """Return our messages at this address: those with our label, and bare ones that are nobody's delivery.

        Answers alone are streamed: what stands bare in the thread may be another's answer, but no receipt.
        """
        found = await self._posts.find(self._address)
        if self._address.kind != "answer":
            return list(found.labelled)
        known: list[str] = []
        if found.bare:
            async with self._posts.sessions.tenant(self._address.team_id) as session:
                known = await DeliveryRepository(session).list_known(
                    self._address.team_id, self._address.channel_id, found.bare
                )
        return [*found.labelled, *(ts for ts in found.bare if ts not in known)]

    async def _change(self, arguments: Mapping[str, Any]) -> None:
        """Replace what the message says; a stream that nobody ended is ended first."""
        try:
            await self._posts.change("chat.update", self._address, self._posted_ts(), arguments)
        except SlackRefusal as error:
            if error.code != _STILL_STREAMING:
                raise
            await self.stop()
            await self._posts.change("chat.update", self._address, self._posted_ts(), arguments)

    async def _forget(self) -> None:
        """Somebody deleted the message: it is to be posted anew."""
        ts = self._posted_ts()
        async with self._holding() as session:
            await DeliveryRepository(session).clear_ts(*self._name, ts)
        self.ts = None

    @asynccontextmanager
    async def _holding(self) -> AsyncIterator[Session]:
        async with self._posts.sessions.tenant(self._address.team_id) as session:
            await self._claim.hold(session)
            yield session

    async def _lost(self, session: Session) -> Superseded | None:
        try:
            await self._claim.hold(session)
        except Superseded as error:
            return error
        return None

    def _posted_ts(self) -> str:
        if self.ts is None:
            raise ServiceUnavailable("Slack: the message doesn't stay")
        return self.ts
