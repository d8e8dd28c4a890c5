"""Every object made and wired, in one place; served until a signal; closed in the reverse order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.config import Settings
from bot.db.engine import Sessions
from bot.db.storage import Storage, open_storage
from bot.jobs.queue import Queue
from bot.jobs.tasks import Tasks
from bot.jobs.worker import Worker
from bot.llm import ChatModel, Embedder
from bot.llm.local import LocalEmbedder
from bot.model_choice import choose_embedder, make_chat
from bot.repositories.channels import ChannelRepository
from bot.services.answers import AnswerService
from bot.services.audience import AudienceService
from bot.services.documents import DocumentService
from bot.services.indexes import IndexService
from bot.services.ingest import IngestService
from bot.services.ports import Directory, FileSource, ThreadReader
from bot.services.receipts import ReceiptService
from bot.services.search import SearchService
from bot.services.turns import TurnService
from bot.services.usage import UsageService
from bot.services.users import UserService
from bot.services.writer import AnswerWriter, Permalink
from bot.slack import register
from bot.slack.actions import ActionListeners
from bot.slack.client import Clients, ask
from bot.slack.commands import CommandListeners
from bot.slack.connection import require_app_token
from bot.slack.delivery import Capabilities, Delivery
from bot.slack.directory import SlackDirectory, SlackThreads
from bot.slack.events import EventListeners
from bot.slack.files import SlackFiles
from bot.slack.http import mount_slack
from bot.slack.identity import authorize_as
from bot.slack.inbox import Inbox, SlackIntake
from bot.slack.permalinks import permalinks
from bot.slack.receipts import SlackReceipts
from bot.values import LOCAL_TEAM_ID, Spending
from bot.web.api import mount_api
from bot.web.server import WebServer, make_web_app

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outside:
    """What the services need of the world: Slack, or nobody."""

    team_id: str
    directory: Directory
    threads: ThreadReader
    files: FileSource
    permalink: Permalink


@dataclass(frozen=True, slots=True)
class Services:
    """What a user can do."""

    team_id: str
    sessions: Sessions
    queue: Queue
    audiences: AudienceService
    search: SearchService
    ingest: IngestService
    documents: DocumentService
    answers: AnswerService
    users: UserService
    indexes: IndexService
    embedder: Embedder
    chat: ChatModel


@dataclass(frozen=True, slots=True)
class Workspace:
    """Who we are in Slack, by `auth.test`."""

    team_id: str
    url: str
    bot_user_id: str
    name: str = field(default="")
    bot_id: str = field(default="")


@asynccontextmanager
async def open_services(settings: Settings, storage: Storage, outside: Outside) -> AsyncIterator[Services]:
    """Wire the services of one workspace."""
    sessions, queue = storage.sessions, Queue()
    async with AsyncExitStack() as stack:
        usage = UsageService(sessions)
        stack.push_async_callback(usage.close)
        embedder = await choose_embedder(
            settings, sessions, outside.team_id, on_usage=lambda spent: usage.note(outside.team_id, Spending(spent))
        )
        stack.push_async_callback(embedder.close)
        chat = make_chat(settings, embedder)
        stack.push_async_callback(chat.close)
        audiences = AudienceService(sessions, outside.directory, max_age_s=settings.membership_age_s)
        search = SearchService(
            sessions,
            embedder,
            passage_limit=settings.passage_limit,
            floor=settings.relevance_floor,
            weight=settings.blend_weight,
        )
        ingest = IngestService(sessions, embedder, max_file_bytes=settings.max_file_bytes)
        documents = DocumentService(
            sessions, ingest, audiences, outside.files, queue.enqueue, max_file_bytes=settings.max_file_bytes
        )
        turns = TurnService(sessions, audiences, outside.threads, queue.enqueue, file_wait_s=settings.file_wait_s)
        writer = AnswerWriter(search, chat, permalink=outside.permalink)
        answers = AnswerService(sessions, turns, writer, search, audiences, usage)
        users = UserService(sessions)
        indexes = IndexService(
            sessions, storage.owner_url, queue.enqueue, exact_search_limit=settings.exact_search_limit
        )
        yield Services(
            outside.team_id,
            sessions,
            queue,
            audiences,
            search,
            ingest,
            documents,
            answers,
            users,
            indexes,
            embedder,
            chat,
        )


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[WebServer]:
    """Run the bot in a workspace: database, services, queue, HTTP and Slack; yields when Slack is connected.

    Raises InvalidSettings, DatabaseUnavailable or ServiceUnavailable when something doesn't come up.
    """
    settings.require_slack()
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(open_storage(settings))
        clients = Clients(_secret(settings.slack_bot_token), base_url=settings.slack_api_url)
        stack.push_async_callback(clients.close)
        workspace = await identify(clients)
        outside, directory = _slack_outside(settings, clients, workspace)
        services = await stack.enter_async_context(open_services(settings, storage, outside))
        async with storage.sessions.tenant(workspace.team_id) as session:
            await ChannelRepository(session).record_workspace(workspace.team_id, name=workspace.name)
        if isinstance(services.embedder, LocalEmbedder):
            await services.embedder.warm_up()
        bolt = _wire_slack(settings, stack, services, clients, directory, workspace, queue_url=storage.bot_url)
        web_app = make_web_app(storage.sessions)
        mount_api(
            web_app,
            services.users,
            services.documents,
            services.search,
            services.answers,
            services.audiences,
            max_file_bytes=settings.max_file_bytes,
        )
        if settings.slack_signing_secret is not None:
            mount_slack(web_app, bolt, signing_secret=_secret(settings.slack_signing_secret))
        server = WebServer(web_app, host=settings.http_host, port=settings.http_port)
        await stack.enter_async_context(server)
        if settings.slack_app_token is not None:
            await _connect(settings, stack, bolt)
        log.info("bot.started", team_id=workspace.team_id, http=server.url, model=services.chat.name)
        yield server


async def serve(settings: Settings) -> None:
    """Run until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(settings):
        await stop.wait()
        log.info("bot.stopping")


async def identify(clients: Clients) -> Workspace:
    """Ask Slack who we are. Raises InvalidSettings for a wrong token, ServiceUnavailable."""
    response = await ask(clients.reading.auth_test())
    team_id = response.get("enterprise_id") if response.get("is_enterprise_install") else response["team_id"]
    return Workspace(
        str(team_id or LOCAL_TEAM_ID),
        response["url"],
        response["user_id"],
        name=response.get("team") or "",
        bot_id=response.get("bot_id") or "",
    )


def _slack_outside(settings: Settings, clients: Clients, workspace: Workspace) -> tuple[Outside, SlackDirectory]:
    directory = SlackDirectory(clients.reading, max_age_s=settings.membership_age_s)
    outside = Outside(
        workspace.team_id,
        directory,
        SlackThreads(clients.reading, directory, bot_user_id=workspace.bot_user_id),
        SlackFiles(clients, _secret(settings.slack_bot_token), api_url=settings.slack_api_url),
        permalinks(workspace.url),
    )
    return outside, directory


def _wire_slack(
    settings: Settings,
    stack: AsyncExitStack,
    services: Services,
    clients: Clients,
    directory: SlackDirectory,
    workspace: Workspace,
    *,
    queue_url: str,
) -> AsyncApp:
    """Attach the listeners, and start the worker that does the work they store."""
    capabilities, inbox = Capabilities(), Inbox(services.sessions, services.queue)
    delivery = Delivery(
        services.sessions,
        clients,
        capabilities,
        bot_user_id=workspace.bot_user_id,
        interval_s=settings.post_interval_s,
    )
    bolt = AsyncApp(
        client=clients.nameless,
        authorize=authorize_as(
            team_id=workspace.team_id,
            url=workspace.url,
            bot_user_id=workspace.bot_user_id,
            bot_id=workspace.bot_id,
            token=_secret(settings.slack_bot_token),
        ),
        request_verification_enabled=False,  # Socket Mode signs nothing, and over HTTP mount_slack has looked
        process_before_response=True,  # an event is acknowledged after its listener stored it, not before
    )
    register(
        bolt,
        events=EventListeners(inbox, clients.reading, capabilities),
        commands=CommandListeners(
            inbox, services.search, services.documents, services.audiences, docs_command=settings.command_docs
        ),
        actions=ActionListeners(services.answers, services.search, services.documents, services.audiences),
        names=(settings.command_ask, settings.command_find, settings.command_docs),
    )
    files = SlackFiles(clients, _secret(settings.slack_bot_token), api_url=settings.slack_api_url)
    tasks = Tasks(
        services.answers,
        services.documents,
        services.indexes,
        intake=SlackIntake(delivery, directory, bot_user_id=workspace.bot_user_id),
        files=files,
        receipts=ReceiptService(services.sessions, SlackReceipts(delivery.posts), files),
    )
    worker = Worker(services.sessions, tasks.table(), queue_url=queue_url, team_id=workspace.team_id)
    working = asyncio.create_task(worker.run(), name="queue")
    stack.callback(working.cancel)
    stack.push_async_callback(worker.stop, 10)
    return bolt


async def _connect(settings: Settings, stack: AsyncExitStack, bolt: AsyncApp) -> None:
    """Open the Socket Mode connection."""
    token = _secret(settings.slack_app_token)
    web_client = AsyncWebClient(token, base_url=settings.slack_api_url)
    await require_app_token(web_client, token)
    handler = AsyncSocketModeHandler(bolt, token, web_client=web_client)
    stack.push_async_callback(handler.close_async)
    await handler.connect_async()  # type: ignore[no-untyped-call]  # Bolt leaves it bare


def _secret(secret: object) -> str:
    return secret.get_secret_value() if hasattr(secret, "get_secret_value") else ""
