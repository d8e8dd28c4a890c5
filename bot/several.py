"""The bot in as many workspaces as let it in: one process, one HTTP server, one connection, one model for all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from aiohttp import web

from bot.config import Settings
from bot.db.storage import Storage, open_storage
from bot.memory import give_back
from bot.services.limits import LimitService
from bot.services.users import UserService
from bot.slack.connection import SlackConnection
from bot.slack.http import mount_slack
from bot.slack.installing import REDIRECT_PATH, mount_installing
from bot.slack.oauth import SlackOAuth
from bot.slack.switchboard import Switchboard
from bot.stopping import wind_down
from bot.tenants import AllEars, Tenants
from bot.vital import connection_check, in_background, mount_checks
from bot.web.api import mount_api
from bot.web.server import WebServer, make_web_app
from bot.wiring import limits_from, make_installations
from bot.workspace import make_connection, secret, signing_secrets

log = structlog.get_logger()


@asynccontextmanager
async def running_several(settings: Settings, *, worker: bool) -> AsyncIterator[WebServer]:
    """Run the bot for every workspace that let it in, and for those that will. As `app.running`."""
    async with AsyncExitStack() as stack:
        storage, oauth, tenants = await _open(stack, settings, works=worker, hears=True)
        switchboard = Switchboard(tenants)
        connection = make_connection(settings, switchboard, AllEars(tenants))
        web_app = make_web_app()
        mount_api(
            web_app,
            UserService(storage.sessions),
            LimitService(storage.sessions, limits_from(settings)),
            tenants.desk,
            max_file_bytes=settings.max_file_bytes,
        )
        if settings.slack_signing_secret is not None:
            mount_slack(web_app, switchboard, signing_secrets=signing_secrets(settings), on_heard=lambda: None)
        mount_installing(
            web_app,
            oauth,
            make_installations(settings, storage.sessions),
            is_secure=(settings.public_url or "").startswith("https:"),
            on_installed=tenants.wake,
        )
        server = WebServer(web_app, host=settings.http_host, port=settings.http_port)
        _mount_checks(stack, web_app, server, storage, tenants, works=worker, connection=connection)
        await stack.enter_async_context(server)
        stack.push_async_callback(wind_down, server, connection, tenants.stop, grace_s=settings.stop_grace_s)
        if connection is not None:
            await connection.open()
        log.info("bot.started", http=server.url, worker=worker, install=f"{settings.public_url}/slack/install")
        yield server


@asynccontextmanager
async def working_several(settings: Settings, *, health_port: int) -> AsyncIterator[WebServer]:
    """Do the work of every workspace that let the bot in. As `app.working`."""
    async with AsyncExitStack() as stack:
        storage, _, tenants = await _open(stack, settings, works=True, hears=False)
        web_app = make_web_app()
        server = WebServer(web_app, host=settings.http_host, port=health_port)
        _mount_checks(stack, web_app, server, storage, tenants, works=True, connection=None)
        await stack.enter_async_context(server)
        stack.push_async_callback(wind_down, server, None, tenants.stop, grace_s=settings.stop_grace_s)
        log.info("worker.started", http=server.url)
        yield server


async def _open(
    stack: AsyncExitStack, settings: Settings, *, works: bool, hears: bool
) -> tuple[Storage, SlackOAuth, Tenants]:
    storage = await stack.enter_async_context(open_storage(settings))
    oauth = SlackOAuth(
        client_id=settings.slack_client_id or "",
        client_secret=secret(settings.slack_client_secret),
        redirect_url=f"{settings.public_url}{REDIRECT_PATH}",
        api_url=settings.slack_api_url,
    )
    stack.push_async_callback(oauth.close)
    installations = make_installations(settings, storage.sessions)
    tenants = Tenants(settings, storage, installations, oauth, works=works, hears=hears)
    stack.push_async_callback(tenants.close)
    await tenants.open()
    in_background(stack, tenants.run(), name="installations")
    in_background(stack, tenants.keep_tokens(), name="tokens")
    in_background(stack, give_back(), name="memory")
    return storage, oauth, tenants


def _mount_checks(
    stack: AsyncExitStack,
    web_app: web.Application,
    server: WebServer,
    storage: Storage,
    tenants: Tenants,
    *,
    works: bool,
    connection: SlackConnection | None,
) -> None:
    mount_checks(
        stack,
        web_app,
        server,
        storage.bot_url,
        queue=tenants.queue_problem if works else None,
        slack=tenants.slack_problem if connection is None else connection_check(connection),
        model=tenants.model_problem,
    )
