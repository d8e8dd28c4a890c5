"""`bot doctor`: looks at everything the bot depends on, and says how to mend what is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator

from rich.console import Console
from rich.text import Text

from bot.config import Settings
from bot.console import explanation, printable
from bot.db.embedded import default_home
from bot.db.engine import Sessions, build_engine
from bot.db.storage import Server, Storage, open_server
from bot.doctor.database import check_database
from bot.doctor.disk import check_disk
from bot.doctor.finding import Finding, Verdict, fail, look, warn
from bot.doctor.installations import check_installations
from bot.doctor.models import check_models
from bot.doctor.sandbox import check_sandbox
from bot.doctor.slack import check_slack
from bot.errors import RecollectError
from bot.offline import choose_team
from bot.values import LOCAL_TEAM_ID

_NEEDED = {"Database", "Tables", "Rights"}
"""What must be in order before a model can be looked at."""

_STYLES = {Verdict.OK: ("✓", "green"), Verdict.WARN: ("!", "yellow"), Verdict.FAIL: ("✗", "bold red")}


async def doctor(settings: Settings) -> int:
    """Print a line per check; return 1 when one failed."""
    failed = False
    async for finding in examine(settings):
        show(finding)
        failed = failed or finding.verdict is Verdict.FAIL
    return 1 if failed else 0


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Yield every finding, as it is made."""
    if settings.database_url is None:
        yield check_disk(settings.recollect_home or default_home())
    for finding in await check_sandbox():
        yield finding
    slack = await look("Slack", lambda: check_slack(settings), settings)
    for finding in slack:
        yield finding
    slack_works = all(finding.verdict is not Verdict.FAIL for finding in slack)
    try:
        async with open_server(settings) as server:
            async for finding in _examine_database(settings, server, slack_works=slack_works):
                yield finding
    except RecollectError as error:
        yield fail("Database", explanation(error, settings))


async def _examine_database(settings: Settings, server: Server, *, slack_works: bool) -> AsyncIterator[Finding]:
    """Yield what depends on the database; the models too, for it says which one embeds."""
    database = await look("Database", lambda: check_database(server), settings)
    for finding in database:
        yield finding
    if any(finding.verdict is not Verdict.OK for finding in database if finding.subject in _NEEDED):
        yield warn("Models", "not looked at: the tables say which one embeds", mend="Mend the database first.")
        return
    team_id = await choose_team(settings, None) if slack_works else LOCAL_TEAM_ID
    engine = build_engine(server.bot_url, pool_size=1, max_overflow=0)
    try:
        storage = Storage(Sessions(engine), server.owner_url, server.bot_url)
        if settings.is_shared:
            for finding in await look("Workspaces", lambda: check_installations(settings, storage), settings):
                yield finding
        for finding in await look("Models", lambda: check_models(settings, storage, team_id), settings):
            yield finding
    finally:
        await engine.dispose()


def show(finding: Finding) -> None:
    """Print one line of the report, and under it how to mend what is wrong."""
    mark, style = _STYLES[finding.verdict]
    line = Text.assemble((f"{mark} {finding.verdict:<5}", style), f"{finding.subject}: {printable(finding.text)}")
    if finding.mend:
        line.append(f"\n        → {printable(finding.mend)}", style="dim")
    Console(soft_wrap=True, highlight=False, emoji=False).print(line)
