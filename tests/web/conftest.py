"""The API over real HTTP, on the real services and models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from bot.config import Settings
from bot.db.engine import Sessions
from bot.db.storage import Storage
from bot.errors import NotFound, ServiceUnavailable
from bot.offline import NoSlack
from bot.services.users import Account, scopes_for
from bot.values import Channel, Person
from bot.web.api import Desk, mount_api
from bot.web.server import WebServer, make_web_app
from bot.wiring import Outside, Services, open_services
from tests.conftest import TEAM

MAX_FILE_BYTES = 200_000

HANDBOOK = (
    b"# Opening hours\n\nThe office opens at eight in the morning and closes at six.\n\n"
    b"# Holidays\n\nEvery employee has twenty-seven days of holiday a year. Up to five days carry over into March.\n"
)


@dataclass
class KnownSlack:
    """A directory that tells what a test put into it."""

    channels: dict[str, Channel] = field(default_factory=dict)
    is_down: bool = False
    deactivated: set[str] = field(default_factory=set)
    administrators: set[str] = field(default_factory=set)

    async def channel(self, team_id: str, channel_id: str, *, since: int = 0) -> Channel:
        if self.is_down:
            raise ServiceUnavailable("Slack is down")
        if channel_id not in self.channels:
            raise NotFound(channel_id)
        return self.channels[channel_id]

    async def person(self, team_id: str, user_id: str, *, since: int = 0) -> Person:
        if self.is_down:
            raise ServiceUnavailable("Slack is down")
        is_admin = user_id in self.administrators
        return Person(user_id, user_id, is_admin=is_admin, is_deactivated=user_id in self.deactivated)


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass(frozen=True)
class Api:
    """A client of a running API, and the services behind it."""

    url: str
    http: aiohttp.ClientSession
    services: Services
    slack: KnownSlack

    async def account(self, name: str, *, is_admin: bool = False) -> Account:
        return await self.services.users.ensure(TEAM, name=name, email=f"{name}@example.com", is_admin=is_admin)

    async def key(self, name: str = "ada", *, is_admin: bool = False) -> str:
        account = await self.account(name, is_admin=is_admin)
        return await self.services.users.create_key(TEAM, account.id, scopes=scopes_for(account))

    async def call(self, method: str, path: str, key: str | None = None, **arguments: Any) -> Reply:
        headers = {**arguments.pop("headers", {}), **({"Authorization": f"Bearer {key}"} if key else {})}
        async with self.http.request(method, self.url + path, headers=headers, **arguments) as response:
            body = await response.json() if response.content_type == "application/json" else await response.text()
            return Reply(response.status, body, dict(response.headers))

    async def upload(self, key: str, filename: str, data: bytes, *, channel_id: str | None = None) -> Reply:
        form = aiohttp.FormData()
        if channel_id is not None:
            form.add_field("channel_id", channel_id)
        form.add_field("file", data, filename=filename)
        return await self.call("POST", "/v1/documents", key, data=form)


@asynccontextmanager
async def serving(sessions: Sessions, **changes: Any) -> AsyncIterator[Api]:
    """Serve the API on a port of its own, with settings of the test's own."""
    slack, nobody = KnownSlack(), NoSlack()
    settings = Settings(_env_file=None, max_file_bytes=MAX_FILE_BYTES, **changes)
    outside = Outside(TEAM, slack, nobody, nobody, lambda _: None)
    async with open_services(settings, Storage(sessions, "", ""), outside) as services:
        app = make_web_app()
        desk = Desk(services.documents, services.search, services.answers, services.audiences)
        mount_api(app, services.users, services.limits, lambda _: desk, max_file_bytes=MAX_FILE_BYTES)
        async with WebServer(app, host="127.0.0.1", port=0) as server, aiohttp.ClientSession() as http:
            yield Api(server.url, http, services, slack)


@pytest.fixture
async def api(sessions: Sessions) -> AsyncIterator[Api]:
    """The API, for the test's own database."""
    async with serving(sessions) as api:
        yield api
