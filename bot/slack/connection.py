"""Socket Mode: the connection that is kept, whatever becomes of the WebSockets it is made of.

The SDK's client keeps trying an address that has expired, waits ten seconds for a dead connection to say goodbye, and
retries without saying why: so this one is ours.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus

import aiohttp
import structlog
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.ending import end_tasks
from bot.errors import InvalidSettings, ServiceUnavailable
from bot.slack.client import ask
from bot.slack.dispatch import Listeners, dispatch, is_request
from bot.slack.envelopes import Envelope
from bot.slack.hearing import HEARING_INTERVAL_S, Ears
from bot.slack.payloads import Body
from bot.slack.socket import Socket

log = structlog.get_logger()

HANDLED_LIMIT = 500
"""Requests worked on at once; what comes beyond isn't acknowledged, and so comes again."""

SILENT_LIMIT_S = 9.0
_ATTEMPT_TIMEOUT_S = 5.0
_LONGEST_PAUSE_S = 4.0
_FIRST_TIMEOUT_S = 10.0
_GRACE_S = 5.0


class SlackConnection:
    """Hears Slack over Socket Mode from `open` to `close`, and reconnects as often as it takes.

    A connection that Slack is about to end is replaced before it ends. While we surely hear, `hearing` learns of it.
    """

    def __init__(
        self,
        bolt: Listeners,
        client: AsyncWebClient,
        token: str,
        *,
        hearing: Ears,
        handled_limit: int = HANDLED_LIMIT,
    ) -> None:
        self._bolt = bolt
        self._client = client
        self._token = token
        self._hearing = hearing
        self._handled_limit = handled_limit
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, connect=_ATTEMPT_TIMEOUT_S))
        self._socket: Socket | None = None
        self._retired: set[asyncio.Task[None]] = set()
        self._handled: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._connected = asyncio.Event()
        self._trouble = "Slack hasn't been reached yet"
        self._closing = False

    async def open(self) -> None:
        """Connect; what doesn't succeed in ten seconds is tried on in the background, and `problem` says why.

        Raises InvalidSettings for a token that Slack refuses.
        """
        try:
            await require_app_token(self._client, self._token)
        except ServiceUnavailable as error:
            self._fail(str(error))
        self._tasks = [
            asyncio.create_task(self._keep(), name="connection"),
            asyncio.create_task(self._hear(), name="connection.hearing"),
        ]
        try:
            await asyncio.wait_for(self._connected.wait(), _FIRST_TIMEOUT_S)
        except TimeoutError:
            log.warning("slack.unreached", problem=self.problem())

    def problem(self) -> str | None:
        """Return None while Slack is surely heard, else what is wrong in words."""
        if self._socket is None:
            return f"Not connected to Slack: {self._trouble}."
        if self._socket.silent_s > SILENT_LIMIT_S:
            return f"Slack has been silent for {self._socket.silent_s:.0f} s."
        return None

    async def close(self) -> None:
        """Hear nothing more, let what was heard be stored and acknowledged, then disconnect."""
        self._closing = True
        await end_tasks(self._tasks)
        if self._handled:
            await asyncio.wait(self._handled, timeout=_GRACE_S)
        if self._socket is not None:
            await self._socket.close()
        if self._retired:
            await asyncio.wait(self._retired)
        await self._hearing.close()
        await self._session.close()

    async def _keep(self) -> None:
        """Have a socket, and another as soon as that one is due."""
        while True:
            fresh = await self._connect()
            former, self._socket = self._socket, fresh
            self._connected.set()
            log.info("slack.connected")
            if former is not None:
                self._retire(former)
            await fresh.due.wait()
            log.info("slack.reconnecting", why=fresh.why)
            if fresh.is_over:
                self._socket, self._trouble = None, fresh.why
                self._retire(fresh)

    async def _connect(self) -> Socket:
        """Return a socket that Slack has greeted, after as many attempts as it takes."""
        pause_s = 0.0
        while True:
            try:
                async with asyncio.timeout(_ATTEMPT_TIMEOUT_S):
                    return await self._attempt()
            except InvalidSettings as error:
                self._fail(error.user_message)
            except ServiceUnavailable as error:
                self._fail(str(error))
                pause_s = max(pause_s, error.retry_after_s or 0)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                self._fail(type(error).__name__)
            except Exception as error:  # the edge: whatever Slack answers, a bot that stops trying is worse
                log.exception("slack.unreadable")
                self._fail(type(error).__name__)
            await asyncio.sleep(pause_s)
            pause_s = min(max(2 * pause_s, 0.5), _LONGEST_PAUSE_S)

    async def _attempt(self) -> Socket:
        url = await _address(self._client, self._token)
        socket = await Socket.open(self._session, url, self._on_envelope)
        try:
            await socket.ready()
        except BaseException:
            self._retire(socket)
            raise
        return socket

    async def _hear(self) -> None:
        """Note every ten seconds, and at each new connection, that nothing is missed."""
        while True:
            if self.problem() is None:
                try:
                    await self._hearing.heard()
                except Exception:  # the edge, as above
                    log.exception("hearing.failed")
            self._connected.clear()
            try:
                await asyncio.wait_for(self._connected.wait(), HEARING_INTERVAL_S)
            except TimeoutError:
                continue

    def _on_envelope(self, socket: Socket, envelope: Envelope) -> None:
        if not envelope.envelope_id or not envelope.raw or not is_request(envelope.payload):
            log.warning("envelope.unreadable", kind=envelope.kind[:40])
        elif self._closing:
            log.info("envelope.left", kind=envelope.kind[:40])
        elif len(self._handled) >= self._handled_limit:
            log.warning("envelope.shed", waiting=len(self._handled))
        else:
            task = asyncio.create_task(self._handle(socket, envelope), name="envelope")
            self._handled.add(task)
            task.add_done_callback(self._handled.discard)

    async def _handle(self, socket: Socket, envelope: Envelope) -> None:
        """Let Bolt's listeners have the envelope; what they took is acknowledged, by the next socket if need be."""
        response = await dispatch(self._bolt, envelope.payload, raw=envelope.raw, headers=_retry_headers(envelope))
        if response.status != HTTPStatus.OK:
            log.info("envelope.unacknowledged", kind=envelope.kind[:40], status=response.status)
            return
        text = _acknowledgement(envelope.envelope_id, response)
        if not await socket.send(text) and self._socket not in (None, socket):
            await self._socket.send(text)

    def _retire(self, socket: Socket) -> None:
        task = asyncio.create_task(socket.close(), name="socket.close")
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

    def _fail(self, trouble: str) -> None:
        self._trouble = trouble.rstrip(".")
        log.warning("slack.unreached", reason=self._trouble)


async def require_app_token(client: AsyncWebClient, token: str) -> None:
    """Raise InvalidSettings unless Slack opens Socket Mode for this token; ServiceUnavailable when it doesn't answer.

    The address that Slack hands out for it isn't used, and expires.
    """
    await _address(client, token)


async def _address(client: AsyncWebClient, token: str) -> str:
    """Return where to connect, good for once. Raises as `require_app_token`."""
    try:
        return str((await ask(client.apps_connections_open(app_token=token)))["url"])
    except InvalidSettings as error:
        message = (
            "Slack refuses SLACK_APP_TOKEN. Make one with connections:write under Basic Information, App-Level Tokens, "
            "and switch Socket Mode on."
        )
        raise InvalidSettings(str(error), user_message=message) from error


def _retry_headers(envelope: Envelope) -> dict[str, str]:
    """Return what would stand in the headers of a request over HTTP."""
    if not envelope.attempt:
        return {}
    return {"X-Slack-Retry-Num": str(envelope.attempt), "X-Slack-Retry-Reason": envelope.reason[:100]}


def _acknowledgement(envelope_id: str, response: BoltResponse) -> str:
    """Return what tells Slack that we have it, with what the listener answered, if anything."""
    answer: Body = {"envelope_id": envelope_id}
    if response.body:
        is_json = response.headers.get("content-type", [""])[0].startswith("application/json")
        answer["payload"] = json.loads(response.body) if is_json else {"text": response.body}
    return json.dumps(answer)
