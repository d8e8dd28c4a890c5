"""The workspaces that let us in, each of them open as long as its installation stands.

Nobody tells a process what another one stored, so each looks at the list every few seconds: opens what is new, closes
what is gone, and lets running clients have tokens that changed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import datetime

import structlog

from bot.config import Settings
from bot.db.storage import Storage
from bot.ending import end_tasks
from bot.errors import InvalidSettings, NotFound, RecollectError, ServiceUnavailable, WorkspaceGone
from bot.jobs.queue import Queue
from bot.llm.local import LocalEmbedder
from bot.repositories.channels import ChannelRepository
from bot.repositories.documents import DocumentRepository
from bot.services.installations import InstallationService, TokenExchange
from bot.slack.addressing import Place
from bot.slack.inbox import Inbox
from bot.slack.switchboard import Line
from bot.tenant import Tenant, open_tenant
from bot.values import Installation
from bot.vital import model_problem, queue_problem
from bot.web.api import Desk
from bot.wiring import make_departures

log = structlog.get_logger()

LOOK_S = 3.0
REFRESH_S = 30.0
_FRESH_S = 1.0
"""How often the list is read at most for the sake of workspaces that aren't on it."""

_CLOSE_S = 5.0
"""How long closing waits for what is closed or purged in the background; who comes next goes on with a purge."""


class Tenants:
    """Opens and closes workspaces, and finds them.

    `works`: their work is done here. `hears`: Slack comes here, over HTTP or one connection for all. What they share
    is the database's pool and the model on this machine.
    """

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        installations: InstallationService,
        exchange: TokenExchange,
        *,
        works: bool,
        hears: bool,
        look_s: float = LOOK_S,
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._installations = installations
        self._exchange = exchange
        self._works = works
        self._hears = hears
        self._look_s = look_s
        self._departures = make_departures(storage.sessions)
        self._inbox = Inbox(storage.sessions, Queue())
        self._local = LocalEmbedder()
        self._open: dict[str, Tenant] = {}
        self._listed: dict[str, Installation] = {}
        self._failing: dict[str, str] = {}
        self._told: set[str] = set()
        self._looked_at = -_FRESH_S
        self._looking = asyncio.Lock()
        self._stopping = False
        self._awake = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Open every workspace there is. Raises InvalidSettings when a token can't be read, and names the key."""
        unreadable = [one for one in await self._installations.list_all() if one.access_token is None]
        lines = [f"{one.title}: {one.problem}" for one in unreadable if not await self._departures.is_gone(one.team_id)]
        if lines:
            lines.append("If that key is lost for good: bot tokens discard")
            raise InvalidSettings("tokens that can't be opened", user_message="\n".join(lines))
        if not self._settings.embedding_is_openai:
            await self._local.warm_up()
        await self.look()
        await self._tell()

    async def run(self) -> None:
        """Keep up with the list until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._look_s):
                    await self._awake.wait()
            except TimeoutError:
                pass
            self._awake.clear()
            try:
                await self.look()
                await self._tell()
            except ServiceUnavailable as error:
                log.warning("installations.unread", reason=str(error))
            except Exception:  # the edge: whatever is wrong, it must be looked at again
                log.exception("installations.failed")

    async def keep_tokens(self) -> None:
        """Exchange tokens before they end, until cancelled."""
        while True:
            try:
                if await self._installations.refresh_due(self._exchange):
                    self.wake()
            except ServiceUnavailable as error:
                log.warning("tokens.unread", reason=str(error))
            except Exception:  # the edge, as above
                log.exception("tokens.failed")
            await asyncio.sleep(REFRESH_S)

    def wake(self) -> None:
        """Look at the list soon: something was installed here."""
        self._awake.set()

    async def look(self) -> None:
        """Read the list, and do what it says. Raises DatabaseUnavailable."""
        async with self._looking:
            await self._look()

    async def find(self, team_id: str) -> Line | None:
        """Return the way into a workspace; None for one that didn't let us in, by a list read after the question.

        Raises ServiceUnavailable for one that can't be opened now.
        """
        asked_at = time.monotonic()
        if team_id not in self._open:
            async with self._looking:
                if self._looked_at < asked_at:
                    await asyncio.sleep(max(0.0, self._looked_at + _FRESH_S - asked_at))
                    await self._look()
        tenant = self._open.get(team_id)
        if tenant is None and (team_id in self._listed or self._stopping):
            raise ServiceUnavailable(f"{team_id} isn't open")
        return None if tenant is None else tenant.line

    async def sharing(self, team_id: str, place: Place) -> list[Line]:
        """Return the ways into the other open workspaces that know a channel or a file. Raises DatabaseUnavailable."""
        others = [tenant for other, tenant in self._open.items() if other != team_id]
        known = await asyncio.gather(*(self._knows(tenant.installation.team_id, place) for tenant in others))
        return [tenant.line for tenant, knows in zip(others, known, strict=True) if knows and tenant.line is not None]

    async def depart(self, team_id: str, *, told_at: datetime | None) -> None:
        """Store that the bot was uninstalled from a workspace that isn't open here. Raises DatabaseUnavailable."""
        await self._inbox.depart(team_id, told_at=told_at)

    def desk(self, team_id: str) -> Desk:
        """Return what answers the API for a workspace. Raises NotFound."""
        tenant = self._open.get(team_id)
        if tenant is None:
            raise NotFound(team_id, user_message="The workspace of this key isn't connected here.")
        return tenant.desk

    async def heard(self) -> None:
        """Note for every workspace that Slack reaches us."""
        await asyncio.gather(*(tenant.hearing.heard() for tenant in list(self._open.values())))

    async def close(self) -> None:
        """Close every workspace; their work was stopped before, or is cut off."""
        for team_id in list(self._open):
            self._shut(team_id, grace_s=0)
        if self._closing:
            await asyncio.wait(self._closing, timeout=_CLOSE_S)
        await end_tasks(set(self._closing), within_s=_CLOSE_S)
        await self._local.close()

    async def stop(self, grace_s: float) -> None:
        """Take on no more work, and let what is under way end."""
        self._stopping = True
        workers = [tenant.worker for tenant in self._open.values() if tenant.worker is not None]
        await asyncio.gather(*(worker.stop(grace_s) for worker in workers))

    async def problems(self) -> dict[str, str]:
        """Return which workspaces can't be served or reached, by their titles, each with a reason in words."""
        found = {self._listed[team_id].title: reason for team_id, reason in self._failing.items()}
        for tenant in list(self._open.values()):
            problem = await tenant.reach.problem() or queue_problem(_beat_age_s([tenant]))
            if problem is not None:
                found[tenant.installation.title] = problem
        return found

    async def slack_problem(self) -> str | None:
        """Return why Slack can't be reached: it answers for none of the open workspaces; None where there are none.

        That it refuses a token is an answer. A workspace that took the app out, or all of them, or a key that is lost,
        must not close the way to `/slack/install`, which is how such things are mended.
        """
        silences = [await tenant.reach.silence() for tenant in list(self._open.values())]
        return silences[0] if silences and all(silences) else None

    async def queue_problem(self) -> str | None:
        """Return what is wrong with the queue: none of the workspaces' workers proves that it works.

        A process that is ended for it ends for all. One worker alone begins anew by itself, and `problems` names it.
        """
        return queue_problem(_beat_age_s(self._open.values()))

    async def model_problem(self) -> str | None:
        """Return what is wrong with the models: they are the same for all."""
        for tenant in self._open.values():
            return await model_problem(tenant.workspace.services)
        return None

    async def _tell(self) -> None:
        """Say in the log which workspaces began to fail, and which are well again."""
        problems = await self.problems()
        for title, reason in problems.items():
            if title not in self._told:
                log.warning("workspace.failing", workspace=title, reason=reason)
        for title in self._told - set(problems):
            log.info("workspace.mended", workspace=title)
        self._told = set(problems)

    async def _look(self) -> None:
        if self._stopping:
            return
        looked_at = time.monotonic()
        self._listed = {one.team_id: one for one in await self._installations.list_all()}
        self._looked_at = looked_at
        for team_id in set(self._open) - set(self._listed):
            log.info("workspace.gone", team_id=team_id)
            self._shut(team_id, grace_s=0)
        self._failing = {team_id: why for team_id, why in self._failing.items() if team_id in self._listed}
        for installation in self._listed.values():
            await self._attend(installation)

    async def _attend(self, installation: Installation) -> None:
        """Let a workspace be open as its installation says; a reason why it can't be is kept, and told once."""
        team_id, tenant = installation.team_id, self._open.get(installation.team_id)
        if tenant is not None and installation.problem is not None:  # it goes on with the token that it has
            self._failing[team_id] = installation.problem
            return
        try:
            if tenant is not None and tenant.installation.installed_at != installation.installed_at:
                log.info("workspace.reinstalled", team_id=team_id)
                self._shut(team_id, grace_s=self._settings.stop_grace_s)
                tenant = None
            if tenant is None:
                self._open[team_id] = await self._opened(installation)
                log.info("workspace.opened", team_id=team_id)
            elif tenant.installation.version != installation.version:
                tenant.take(installation)
                log.info("token.taken", team_id=team_id)
            self._failing.pop(team_id, None)
        except WorkspaceGone as error:
            self._failing[team_id] = error.user_message
            self._purge(team_id)
        except RecollectError as error:
            log.debug("workspace.unopened", team_id=team_id, reason=str(error))
            self._failing[team_id] = error.user_message
        except Exception:  # the edge: whatever is wrong with one, the others are to be served
            if team_id not in self._failing:
                log.exception("workspace.unopened", team_id=team_id)
            self._failing[team_id] = RecollectError.user_message

    async def _opened(self, installation: Installation) -> Tenant:
        team_id = installation.team_id
        if installation.problem is not None and await self._departures.is_gone(team_id):
            raise WorkspaceGone(f"{team_id} was uninstalled, and its token can't be opened")
        doing = {"works": self._works, "hears": self._hears}
        return await open_tenant(self._settings, self._storage, installation, local=self._local, **doing)

    async def _knows(self, team_id: str, place: Place) -> bool:
        try:
            async with self._storage.sessions.tenant(team_id) as session:
                if place.channel_id is not None:
                    return await ChannelRepository(session).is_known(team_id, place.channel_id)
                return await DocumentRepository(session).is_file_known(team_id, place.file_id or "")
        except WorkspaceGone:
            return False

    def _shut(self, team_id: str, *, grace_s: float) -> None:
        """Let nothing more into a workspace, and close it in the background."""
        tenant = self._open.pop(team_id)
        task = asyncio.create_task(tenant.close(grace_s), name=f"close:{team_id}")
        self._closing.add(task)
        task.add_done_callback(self._closed)

    def _purge(self, team_id: str) -> None:
        """Purge a workspace that was uninstalled while nobody was there to do it, in the background."""
        name = f"purge:{team_id}"
        if all(task.get_name() != name for task in self._closing):
            task = asyncio.create_task(self._departures.purge(team_id), name=name)
            self._closing.add(task)
            task.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("workspace.unclosed", task=task.get_name(), exc_info=error)


def _beat_age_s(tenants: Iterable[Tenant]) -> float:
    """Return since when none of these workspaces' workers has proved that it works; 0 where there are none."""
    return min((tenant.worker.beat_age_s() for tenant in tenants if tenant.worker is not None), default=0.0)


class AllEars:
    """Hears for all workspaces at once: over one connection Slack speaks for all of them."""

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants

    async def heard(self) -> None:
        """Note it for each."""
        await self._tenants.heard()

    async def close(self) -> None:
        """Do nothing: each workspace's last note is written when it closes."""
