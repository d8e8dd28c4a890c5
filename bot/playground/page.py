"""What the browser talks to: the page itself, a snapshot, live changes, and a person's deeds."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import BodyPartReader, web

from bot.errors import NotFound, RecollectError
from bot.playground.hands import Hands
from bot.playground.snapshot import concerns, snapshot
from bot.playground.state import Json, Message, User

STATIC = Path(__file__).parent / "static"
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Page:
    """Serves the page of one workspace.

    It has no log-in, so it answers only what its own page asks: another site can neither read nor post through it.
    """

    def __init__(self, hands: Hands, *, is_connected: Callable[[], bool], loopback_only: bool, home_tab: bool) -> None:
        self._hands = hands
        self._is_connected = is_connected
        self._home_tab = home_tab
        self._loopback_only = loopback_only
        self._sockets: set[web.WebSocketResponse] = set()
        self._deeds: dict[str, Callable[[Json], Awaitable[Json | str | None]]] = {
            "click": self._click,
            "command": self._command,
            "delete": self._delete,
            "edit": self._edit,
            "join": self._join,
            "open_app": self._open_app,
            "react": self._react,
            "stop": self._stop,
            "submit": self._submit,
        }

    def routes(self) -> list[web.RouteDef]:
        """The page's addresses."""
        return [
            web.get("/", self._guarded(self._index)),
            web.get("/archives/{channel}", self._guarded(self._index)),
            web.get("/archives/{channel}/{message}", self._guarded(self._index)),
            web.get(r"/static/{name:[a-z]+\.(?:js|css|svg)}", self._guarded(self._static)),
            web.get("/files/{user}/{file_id}/{name}", self._guarded(self._file)),
            web.get("/ui/state", self._guarded(self._state)),
            web.get("/ui/live", self._guarded(self._live)),
            web.post("/ui/say", self._guarded(self._say)),
            web.post("/ui/{deed}", self._guarded(self._do)),
        ]

    async def close(self) -> None:
        """Close the browsers' connections."""
        for socket in list(self._sockets):
            await socket.close()

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            origin = request.headers.get("Origin")
            host = urlsplit(f"//{request.host}").hostname
            if (origin and urlsplit(origin).netloc != request.host) or (self._loopback_only and host not in LOOPBACK):
                raise web.HTTPForbidden(text="This page answers only itself.")
            try:
                return await handler(request)
            except RecollectError as error:
                return web.json_response({"error": error.user_message}, status=400)

        return guarded

    async def _index(self, _request: web.Request) -> web.Response:
        return _served(STATIC / "index.html")

    async def _static(self, request: web.Request) -> web.Response:
        return _served(STATIC / request.match_info["name"])

    async def _file(self, request: web.Request) -> web.Response:
        file = self._hands.store.files.get(request.match_info["file_id"])
        if file is None:
            raise web.HTTPNotFound
        headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=file.data, content_type="application/octet-stream", headers=headers)

    async def _state(self, request: web.Request) -> web.Response:
        state = snapshot(self._hands.workspace, self._person(request.query.get("user", "")))
        state |= {"commands": self._hands.commands, "connected": self._is_connected(), "home_tab": self._home_tab}
        return web.json_response(state)

    async def _live(self, request: web.Request) -> web.WebSocketResponse:
        user = self._person(request.query.get("user", ""))
        socket = web.WebSocketResponse(heartbeat=20)
        await socket.prepare(request)
        self._sockets.add(socket)
        sender = asyncio.create_task(self._send_changes(socket, user))
        try:
            async for _ in socket:
                pass
        finally:
            sender.cancel()
            self._sockets.discard(socket)
        return socket

    async def _send_changes(self, socket: web.WebSocketResponse, user: User) -> None:
        watchers = self._hands.workspace.watchers
        queue = watchers.subscribe()
        try:
            with contextlib.suppress(ConnectionError):
                while True:
                    change = await queue.get()
                    if concerns(self._hands.workspace, change, user):
                        await socket.send_str(json.dumps(change))
        finally:
            watchers.unsubscribe(queue)

    async def _say(self, request: web.Request) -> web.Response:
        fields, files = await _form(request)
        message = await self._hands.say(
            fields["user"], fields["channel"], fields.get("text", ""), thread_ts=fields.get("thread_ts"), files=files
        )
        return web.json_response({"ts": message.ts})

    async def _do(self, request: web.Request) -> web.Response:
        deed = self._deeds.get(request.match_info["deed"])
        if deed is None:
            raise web.HTTPNotFound
        done = await deed(json.loads(await request.text()))
        return web.json_response({"done": done})

    async def _command(self, told: Json) -> str:
        thread_ts = told.get("thread_ts")
        return await self._hands.command(
            told["user"], told["channel"], told["command"], told["text"], thread_ts=thread_ts
        )

    async def _click(self, told: Json) -> None:
        if view_id := told.get("view_id"):
            await self._hands.click_view(told["user"], view_id, told["action_id"], told.get("value"))
        else:
            await self._hands.click(told["user"], self._message(told), told["action_id"], told.get("value"))

    async def _delete(self, told: Json) -> None:
        await self._hands.delete(self._message(told))

    async def _edit(self, told: Json) -> None:
        await self._hands.edit(self._message(told), told["text"])

    async def _join(self, told: Json) -> None:
        self._hands.join(told["user"], told["channel"])

    async def _open_app(self, told: Json) -> None:
        self._hands.open_app(told["user"], tab=told["tab"])

    async def _react(self, told: Json) -> None:
        message = self._message(told)
        remove = self._hands.store.user(told["user"]).id in message.reactions.get(told["name"], [])
        await self._hands.react(told["user"], message, told["name"], remove=remove)

    async def _stop(self, told: Json) -> None:
        await self._hands.stop(told["user"], self._message(told))

    async def _submit(self, told: Json) -> Json:
        return await self._hands.submit(told["user"], told["view_id"], told["values"])

    def _person(self, user_id: str) -> User:
        store = self._hands.store
        if user_id in store.users:
            return store.users[user_id]
        people = [user for user in store.users.values() if not user.is_bot]
        if not people:
            raise NotFound("nobody lives here", user_message="This workspace has no people yet.")
        return people[0]

    def _message(self, told: Json) -> Message:
        store, ts = self._hands.store, str(told["ts"])
        found = store.message(told["channel"], ts) or store.ephemerals.get(ts)
        if found is None:
            raise NotFound(f"no message {ts}", user_message="That message is gone.")
        return found


def _served(path: Path) -> web.Response:
    if not path.is_file():
        raise web.HTTPNotFound
    headers = {
        "Content-Security-Policy": CONTENT_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }
    return web.Response(text=path.read_text("utf-8"), content_type=KINDS[path.suffix], headers=headers)


async def _form(request: web.Request) -> tuple[dict[str, str], list[tuple[str, bytes, str]]]:
    """Return a form's fields, and its files as name, bytes and MIME type."""
    fields: dict[str, str] = {}
    files: list[tuple[str, bytes, str]] = []
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        if part.filename is None:
            fields[str(part.name)] = await part.text()
        else:
            mimetype = part.headers.get("Content-Type", "application/octet-stream")
            files.append((part.filename, bytes(await part.read()), mimetype))
    return fields, files
