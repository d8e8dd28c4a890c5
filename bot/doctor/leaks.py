"""`bot doctor --leak-test`: sets what people are shown beside what Slack says they may read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from bot.config import Settings
from bot.db.storage import open_storage
from bot.doctor import show
from bot.doctor.finding import Finding, Verdict, fail, ok, warn
from bot.errors import InvalidSettings
from bot.services.leaks import LeakReport, LeakTest
from bot.tenant import open_installed
from bot.wiring import make_installations
from bot.workspace import Workspace, open_workspace


async def leak_test(settings: Settings, *, sample: int) -> int:
    """Run the test and print what it found; return 1 when something leaks.

    Raises InvalidSettings without a token, ServiceUnavailable when Slack doesn't answer: nothing is proven then.
    """
    if settings.slack_bot_token is None and not settings.is_shared:
        message = "The leak test asks Slack who may read what: set SLACK_BOT_TOKEN."
        raise InvalidSettings("no Slack token", user_message=message)
    leaked = False
    async for workspace in _workspaces(settings):
        services = workspace.services
        test = LeakTest(services.sessions, workspace.directory, services.audiences, services.search)
        finding = finding_from(await test.run(services.team_id, sample=sample))
        show(replace(finding, subject=f"{finding.subject} {services.team_id}") if settings.is_shared else finding)
        leaked = leaked or finding.verdict is Verdict.FAIL
    return 1 if leaked else 0


async def _workspaces(settings: Settings) -> AsyncIterator[Workspace]:
    """Yield the workspace there is, or one after the other those that let us in. Raises InvalidSettings for a lost key."""
    if not settings.is_shared:
        async with open_workspace(settings) as workspace:
            yield workspace
        return
    async with open_storage(settings) as storage:
        for installation in await make_installations(settings, storage.sessions).list_all():
            async with open_installed(settings, storage, installation) as workspace:
                yield workspace


def finding_from(report: LeakReport) -> Finding:
    """Return what the report says, in a line: counts, and of a leak its ids alone."""
    looked_at = (
        f"{report.people} people and {report.channels} channels, {report.audiences} audiences: {report.searches} "
        f"searches found {report.passages} passages, and PostgreSQL alone let {report.documents} documents through"
    )
    if report.changed:
        looked_at += f"; {report.changed} were shown by what Slack had changed within the last minutes"
    if report.leaks:
        leak = report.leaks[0]
        text = (
            f"{len(report.leaks)} shown to who may not read them; document {leak.document_id} by {leak.way} to "
            f"{leak.viewer} ({looked_at})"
        )
        return fail("Leak test", text, mend="Stop the bot, and report these ids.")
    if not report.audiences:
        mend = "Share a file in a channel that the bot is in, and come again."
        return warn("Leak test", "nothing is shared in any channel yet: there is nothing to prove", mend=mend)
    return ok("Leak test", f"none outside what Slack says may be read ({looked_at})")
