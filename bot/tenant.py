"""One of the workspaces that let us in, while it is open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bot.config import Settings
from bot.db.storage import Storage
from bot.errors import InvalidSettings
from bot.jobs.worker import Worker
from bot.llm.local import LocalEmbedder
from bot.slack.client import Clients
from bot.slack.hearing import Hearing
from bot.slack.switchboard import Line
from bot.values import Installation
from bot.vital import in_background, ping_slack
from bot.web.api import Desk
from bot.web.health import Pulse
from bot.workspace import Identity, Workspace, make_bolt, make_hearing, make_worker, open_place

_PULSE = {"interval_s": 30.0, "patience_s": 10.0}


class Reach:
    """Whether Slack takes a workspace's token, asked twice a minute."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._refused = False
        self._pulse = Pulse(self._ask, **_PULSE)

    async def run(self) -> None:
        """Ask until cancelled."""
        await self._pulse.run()

    async def problem(self) -> str | None:
        """Return what is wrong in words; None while all is well."""
        if self._refused:
            return "Slack refuses its token. Let Recollect in again at /slack/install."
        return await self.silence()

    async def silence(self) -> str | None:
        """Return since when Slack hasn't answered, in words; None while it does, if only to refuse."""
        silence = await self._pulse.problem()
        return None if silence is None else f"Slack gives {silence}."

    async def _ask(self) -> None:
        refused = False
        try:
            await ping_slack(self._clients)
        except InvalidSettings:
            refused = True
        self._refused = refused


@dataclass(slots=True)
class Tenant:
    """An open workspace. `line` is where its requests go; a process that only works has none."""

    installation: Installation
    workspace: Workspace
    hearing: Hearing
    reach: Reach
    worker: Worker | None
    line: Line | None
    stack: AsyncExitStack

    @property
    def desk(self) -> Desk:
        """What answers the API here."""
        services = self.workspace.services
        return Desk(services.documents, services.search, services.answers, services.audiences)

    def take(self, installation: Installation) -> None:
        """Go on with another token, from the next call on."""
        self.installation = installation
        if installation.access_token is not None:
            self.workspace.clients.use(installation.access_token)

    async def close(self, grace_s: float) -> None:
        """Let work under way end within its grace, then close everything."""
        if self.worker is not None:
            await self.worker.stop(grace_s)
        await self.stack.aclose()


@asynccontextmanager
async def open_installed(
    settings: Settings, storage: Storage, installation: Installation, *, local: LocalEmbedder | None = None
) -> AsyncIterator[Workspace]:
    """Wire a workspace without asking Slack anything: it may be away, or have taken our token back.

    Raises InvalidSettings (its token can't be read, a model it needs), DatabaseUnavailable.
    """
    if installation.access_token is None:
        message = f"{installation.title}: {installation.problem}"
        raise InvalidSettings("a token that can't be opened", user_message=message)
    clients = Clients(installation.access_token, base_url=settings.slack_api_url)
    try:
        async with open_place(settings, storage, clients, _identity(installation), local=local) as workspace:
            yield workspace
    finally:
        await clients.close()


async def open_tenant(
    settings: Settings,
    storage: Storage,
    installation: Installation,
    *,
    local: LocalEmbedder,
    works: bool,
    hears: bool,
) -> Tenant:
    """Open a workspace, and whatever is done for it here. Raises as `open_installed`."""
    async with AsyncExitStack() as stack:
        opening = open_installed(settings, storage, installation, local=local)
        workspace = await stack.enter_async_context(opening)
        hearing = make_hearing(settings, workspace)
        stack.push_async_callback(hearing.close)
        worker = make_worker(settings, workspace) if works else None
        if worker is not None:
            in_background(stack, worker.run(), name=f"queue:{installation.team_id}")
        reach = Reach(workspace.clients)
        in_background(stack, reach.run(), name=f"reach:{installation.team_id}")
        line = None
        if hears:
            on_taken = _nothing if settings.slack_signing_secret is None else hearing.hear
            line = Line(installation.team_id, make_bolt(settings, workspace), on_taken)
            if settings.slack_app_token is None:
                await hearing.heard()
        return Tenant(installation, workspace, hearing, reach, worker, line, stack.pop_all())


def _identity(installation: Installation) -> Identity:
    team_id, url, bot_user_id = installation.team_id, installation.url, installation.bot_user_id
    name, bot_id, is_organisation = installation.name, installation.bot_id, installation.is_enterprise
    return Identity(team_id, url, bot_user_id, name=name, bot_id=bot_id, is_organisation=is_organisation)


def _nothing() -> None:
    """Over Socket Mode, what is heard is noted by the connection."""
