"""The playground's page in a real browser, with the real bot behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.playground.demo import furnish
from bot.playground.local import LocalSlack
from bot.web.server import WebServer
from tests.browser.chromium import Chromium, chromium
from tests.browser.tab import Tab, new_tab
from tests.conftest import TEAM
from tests.slack.conftest import bot, start_bot

__all__ = ["bot", "start_bot"]

HANDBOOK = Path(__file__).parents[2] / "bot" / "smoke_files" / "brackwater-handbook.pdf"


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Chromium]:
    """One browser for all tests."""
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    """The Slack of the demo, limits and all."""
    slack = LocalSlack(team_id=TEAM)
    furnish(slack)
    async with slack:
        yield slack


@pytest.fixture
async def quiet_page(browser: Chromium, slack: LocalSlack) -> AsyncIterator[Tab]:
    """The page as Ada finds it, without a bot. Whatever a test does: no complaint, no dialog, no request elsewhere."""
    async with new_tab(browser) as tab:
        await tab.goto(slack.url)
        yield tab
        assert tab.complaints == []
        assert tab.dialogs == []
        assert tab.strangers(slack.url) == []


@pytest.fixture
def page(bot: WebServer, quiet_page: Tab) -> Tab:
    """The page with the bot behind it."""
    return quiet_page
