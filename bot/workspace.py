"""The bot's place in one Slack workspace: who it is there, what comes in, what is done about it, and what goes out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.config import Settings
from bot.db.storage import Storage, open_storage
from bot.errors import InvalidSettings
from bot.jobs.queue import list_purges
from bot.jobs.tasks import Tasks
from bot.jobs.worker import Worker
from bot.llm.local import LocalEmbedder
from bot.repositories.channels import ChannelRepository
from bot.services.deletions import DeletionService
from bot.services.departures import DepartureService
from bot.services.errands import expire_errand, lexicon_errand
from bot.services.receipts import ReceiptService
from bot.slack import register
from bot.slack.actions import ActionListeners
from bot.slack.backfill import SlackBackfill
from bot.slack.client import Clients, ask
from bot.slack.commands import CommandListeners
from bot.slack.connection import SlackConnection
from bot.slack.delivery import Capabilities, Delivery
from bot.slack.directory import SlackDirectory, SlackThreads
from bot.slack.dispatch import Listeners
from bot.slack.events import EventListeners
from bot.slack.files import SlackFiles
from bot.slack.hearing import HTTP_GAP_S, SOCKET_GAP_S, Ears, Hearing
from bot.slack.identity import authorize_as
from bot.slack.inbox import Inbox
from bot.slack.intake import SlackIntake
from bot.slack.membership import MembershipListeners
from bot.slack.permalinks import permalinks
from bot.slack.receipts import SlackReceipts
from bot.slack.retractions import SlackPostings
from bot.slack.uninstalling import UninstallListeners
from bot.values import LOCAL_TEAM_ID
from bot.wiring import Outside, Services, make_departures, open_services

_CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are in Slack, by `auth.test`; `team_id` is an Enterprise organisation's where that let us in as a whole."""

    team_id: str
    url: str
    bot_user_id: str
    name: str = field(default="")
    bot_id: str = field(default="")
    is_organisation: bool = False


@dataclass(frozen=True, slots=True)
class Workspace:
    """What everything in one workspace shares."""

    identity: Identity
    storage: Storage
    clients: Clients
    directory: SlackDirectory
    files: SlackFiles
    services: Services
    inbox: Inbox
    capabilities: Capabilities
    departures: DepartureService


async def identify(clients: Clients) -> Identity:
    """Ask Slack who we are. Raises InvalidSettings for a wrong token, ServiceUnavailable."""
    response = await ask(clients.reading.auth_test())
    is_organisation = bool(response.get("is_enterprise_install"))
    team_id = response.get("enterprise_id") if is_organisation else response["team_id"]
    return Identity(
        str(team_id or LOCAL_TEAM_ID),
        response["url"],
        response["user_id"],
        name=response.get("team") or "",
        bot_id=response.get("bot_id") or "",
        is_organisation=is_organisation,
    )


async def admit(clients: Clients, storage: Storage, departures: DepartureService) -> Identity:
    """Return who we are in a workspace that lets us in; one that had removed us and is back starts empty.

    Raises as `identify` does. Whom Slack refuses for good purges what is due before: a bot that was removed from its only
    workspace gets no further, and nobody else may be there to do it.
    """
    try:
        identity = await identify(clients)
    except InvalidSettings:
        async with storage.sessions.purging(LOCAL_TEAM_ID) as session:
            due = await list_purges(session)
        for team_id in due:
            await departures.purge(team_id)
        raise
    if await departures.is_gone(identity.team_id):
        await departures.purge(identity.team_id)
        identity = await identify(clients)  # the token is good now, so this is another installation
        await departures.readmit(identity.team_id)
    return identity


@asynccontextmanager
async def open_workspace(settings: Settings) -> AsyncIterator[Workspace]:
    """Open database and services for the workspace that the bot's token is for.

    Raises InvalidSettings, DatabaseUnavailable or ServiceUnavailable when something doesn't come up.
    """
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(open_storage(settings))
        clients = Clients(secret(settings.slack_bot_token), base_url=settings.slack_api_url)
        stack.push_async_callback(clients.close)
        identity = await admit(clients, storage, make_departures(storage.sessions))
        workspace = await stack.enter_async_context(open_place(settings, storage, clients, identity))
        if isinstance(workspace.services.embedder, LocalEmbedder):
            await workspace.services.embedder.warm_up()
        yield workspace


@asynccontextmanager
async def open_place(
    settings: Settings, storage: Storage, clients: Clients, identity: Identity, *, local: LocalEmbedder | None = None
) -> AsyncIterator[Workspace]:
    """Wire what is needed in a workspace that we know, without asking Slack anything; `local` as in `open_services`.

    Raises InvalidSettings (a model it needs), DatabaseUnavailable, WorkspaceGone.
    """
    async with AsyncExitStack() as stack:
        directory = SlackDirectory(
            clients.reading, max_age_s=settings.membership_age_s, is_organisation=identity.is_organisation
        )
        files = SlackFiles(clients, api_url=settings.slack_api_url)
        outside = Outside(
            identity.team_id,
            directory,
            SlackThreads(clients.reading, directory, bot_user_id=identity.bot_user_id),
            files,
            permalinks(identity.url),
        )
        services = await stack.enter_async_context(open_services(settings, storage, outside, local=local))
        async with storage.sessions.tenant(identity.team_id) as session:
            await ChannelRepository(session).record_workspace(identity.team_id, name=identity.name)
        inbox = Inbox(services.sessions, services.queue)
        departures = make_departures(storage.sessions)
        yield Workspace(identity, storage, clients, directory, files, services, inbox, Capabilities(), departures)


def make_worker(settings: Settings, workspace: Workspace) -> Worker:
    """Return what does the work that was stored; it isn't running yet."""
    identity, services = workspace.identity, workspace.services
    delivery = Delivery(
        services.sessions,
        workspace.clients,
        workspace.capabilities,
        bot_user_id=identity.bot_user_id,
        interval_s=settings.post_interval_s,
    )
    tasks = Tasks(
        services.answers,
        services.documents,
        services.indexes,
        intake=SlackIntake(
            delivery,
            workspace.directory,
            services.answers,
            team_id=identity.team_id,
            bot_user_id=identity.bot_user_id,
        ),
        files=workspace.files,
        receipts=ReceiptService(services.sessions, SlackReceipts(delivery.posts), workspace.files),
        backfill=SlackBackfill(
            services.sessions,
            workspace.inbox,
            workspace.clients.reading,
            team_id=identity.team_id,
            bot_user_id=identity.bot_user_id,
        ),
        deletions=DeletionService(services.sessions, services.queue.enqueue, SlackPostings(delivery.posts)),
        retention=services.retention,
        lexicon=services.lexicon,
        model_wait_s=settings.model_wait_s,
    )
    return Worker(
        services.sessions,
        tasks.table(),
        purge=workspace.departures.purge,
        queue_url=workspace.storage.bot_url,
        team_id=identity.team_id,
        stall_s=settings.worker_stall_s,
        start_interval_s=settings.post_interval_s,
        hourly=(expire_errand, lexicon_errand),
        thrifty=settings.is_shared,
    )


def make_bolt(settings: Settings, workspace: Workspace) -> AsyncApp:
    """Return Bolt with every listener attached."""
    identity, services, inbox = workspace.identity, workspace.services, workspace.inbox
    bolt = AsyncApp(
        client=workspace.clients.nameless,
        authorize=authorize_as(
            team_id=identity.team_id,
            url=identity.url,
            bot_user_id=identity.bot_user_id,
            bot_id=identity.bot_id,
            token=lambda: workspace.clients.token,
        ),
        request_verification_enabled=False,  # Socket Mode signs nothing, and over HTTP mount_slack has looked
        ignoring_self_events_enabled=False,  # that a message of ours was deleted is news, whoever deleted it
        process_before_response=True,  # an event is acknowledged after its listener stored it, not before
    )
    register(
        bolt,
        events=EventListeners(inbox, workspace.clients.reading, workspace.capabilities),
        membership=MembershipListeners(inbox),
        uninstalling=UninstallListeners(
            inbox, workspace.clients.posting, team_id=identity.team_id, bot_user_id=identity.bot_user_id
        ),
        commands=CommandListeners(
            inbox,
            services.search,
            services.documents,
            services.audiences,
            services.limits,
            docs_command=settings.command_docs,
        ),
        actions=ActionListeners(
            inbox, services.answers, services.search, services.documents, services.audiences, services.limits
        ),
        names=(settings.command_ask, settings.command_find, settings.command_docs),
    )
    return bolt


def make_hearing(settings: Settings, workspace: Workspace) -> Hearing:
    """Return what knows up to when everything was heard."""
    return Hearing(
        workspace.services.sessions,
        workspace.services.queue,
        workspace.inbox,
        team_id=workspace.identity.team_id,
        gap_s=SOCKET_GAP_S if settings.slack_app_token is not None else HTTP_GAP_S,
        backfill_hours=settings.backfill_hours,
    )


def make_connection(settings: Settings, bolt: Listeners, hearing: Ears) -> SlackConnection | None:
    """Return the Socket Mode connection, not opened yet; None where Slack comes over HTTP."""
    if settings.slack_app_token is None:
        return None
    token = secret(settings.slack_app_token)
    client = AsyncWebClient(token, base_url=settings.slack_api_url, timeout=_CONNECT_TIMEOUT_S)
    return SlackConnection(bolt, client, token, hearing=hearing)


def signing_secrets(settings: Settings) -> list[str]:
    """Return what Slack signs with: the secret that is set there, then the former one while it is changed."""
    both = (settings.slack_signing_secret, settings.slack_former_signing_secret)
    return [secret(one) for one in both if one is not None]


def secret(value: object) -> str:
    """Return what a secret setting holds, nothing when it isn't set."""
    return value.get_secret_value() if hasattr(value, "get_secret_value") else ""
