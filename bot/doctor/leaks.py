"""`bot doctor --leak-test`: sets what people are shown beside what Slack says they may read."""

from __future__ import annotations

from bot.config import Settings
from bot.doctor import show
from bot.doctor.finding import Finding, Verdict, fail, ok, warn
from bot.errors import InvalidSettings
from bot.services.leaks import LeakReport, LeakTest
from bot.workspace import open_workspace


async def leak_test(settings: Settings, *, sample: int) -> int:
    """Run the test and print what it found; return 1 when something leaks.

    Raises InvalidSettings without a token, ServiceUnavailable when Slack doesn't answer: nothing is proven then.
    """
    if settings.slack_bot_token is None:
        message = "The leak test asks Slack who may read what: set SLACK_BOT_TOKEN."
        raise InvalidSettings("no Slack token", user_message=message)
    async with open_workspace(settings) as workspace:
        services = workspace.services
        test = LeakTest(services.sessions, workspace.directory, services.audiences, services.search)
        report = await test.run(services.team_id, sample=sample)
    finding = finding_from(report)
    show(finding)
    return 1 if finding.verdict is Verdict.FAIL else 0


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
