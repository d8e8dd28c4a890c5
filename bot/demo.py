"""The demo: the bot and a local Slack in one process, nothing to install and nobody to ask."""

from __future__ import annotations

import asyncio
import errno
import webbrowser

from rich.console import Console

from bot.app import running
from bot.config import Settings
from bot.db.storage import open_storage
from bot.errors import InvalidSettings
from bot.playground.demo import furnish
from bot.playground.local import LocalSlack
from bot.smoke import playground_settings
from bot.stopping import MARGIN_S, Stop, until_stopped
from bot.wiring import make_departures

DEMO_TEAM_ID = "T0DEMO"
MAX_PORT = 65_535


async def demo(
    settings: Settings, *, host: str, port: int, open_page: bool = False, console: Console | None = None
) -> None:
    """Serve the page until SIGINT or SIGTERM, `open_page` in a browser besides. Each demo begins with an empty memory.

    Raises InvalidSettings when the port is taken, or the address none of this machine's.
    """
    out = console or Console()

    async def run(stop: Stop) -> None:
        await _demonstrate(settings, stop, host=host, port=port, open_page=open_page, out=out)

    await until_stopped(run, limit_s=settings.stop_grace_s + MARGIN_S)


async def _demonstrate(settings: Settings, stop: Stop, *, host: str, port: int, open_page: bool, out: Console) -> None:
    slack = LocalSlack(host=host, port=port, team_id=DEMO_TEAM_ID)
    furnish(slack)
    try:
        await slack.start()
    except OSError as error:
        await slack.close()
        raise InvalidSettings(f"{host}:{port}", user_message=_refusal(error, host=host, port=port)) from error
    try:
        out.print("Starting: the first time this takes a few seconds …")
        local = playground_settings(settings, slack, home=None)
        if "http_port" in settings.model_fields_set:  # asked for; else the demo takes no port but its page's
            local = local.model_copy(update={"http_port": settings.http_port})
        async with open_storage(local) as storage:
            await make_departures(storage.sessions).empty(DEMO_TEAM_ID)
            await _serve(local, slack, stop, open_page=open_page, out=out)
    finally:
        await slack.close()


async def _serve(settings: Settings, slack: LocalSlack, stop: Stop, *, open_page: bool, out: Console) -> None:
    async with running(settings):
        out.print(f"\n  Open [bold]{slack.url}[/bold]\n")
        out.print("  Drop a PDF into a channel, reply in its thread with @Recollect and a question.")
        out.print("  Ctrl-C ends it.\n")
        if open_page:
            await asyncio.to_thread(_open_in_browser, slack.url)
        await stop.wait()


def _refusal(error: OSError, *, host: str, port: int) -> str:
    """Return the sentence for an address where the page can't be served."""
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken. Try another: bot demo --port {port + 1 if port < MAX_PORT else 0}"
    return f"I can't serve a page on {host}, port {port}. Try: bot demo --host 127.0.0.1 --port 8080"


def _open_in_browser(url: str) -> None:
    """Open a page in a graphical browser, if there is one: a textual one would take the terminal over."""
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return
    if type(browser) is not webbrowser.GenericBrowser:
        browser.open(url)
