"""What people do on the page in these tests."""

from __future__ import annotations

from pathlib import Path

from tests.browser.tab import Tab

CHANNEL = "#main textarea"
THREAD = "#thread textarea"


async def upload(page: Tab, *files: Path) -> None:
    """Share files in the channel through its file input; their thread opens, and the receipt comes there."""
    await page.upload("#main input[type=file]", *files)
    await page.click("#main .send")
    await page.wait_for("document.querySelector('#thread:not([hidden]) textarea')")
    await page.wait_for_words("#thread", "Ask me about it here.", within_s=30)


async def say(page: Tab, field: str, text: str) -> None:
    """Type into a composer and press Enter."""
    await page.type(field, text)
    await page.press("Enter")


async def ask(page: Tab, question: str) -> str:
    """Ask the bot in the open thread, whose composer names it; return the thread's words when it has answered."""
    answers = await page.count("#thread .message")
    await say(page, THREAD, question)
    await page.wait_for(f"document.querySelectorAll('#thread .message').length > {answers + 1}")
    await page.wait_for("!document.querySelector('#thread .writing, #thread .status-row')")
    return await page.words("#replies")


async def become(page: Tab, name: str) -> None:
    """Switch to another person."""
    await page.click(".who")
    await page.click(".who-menu .menu-item", name)
    await page.wait_for(f"document.querySelector('.who').innerText.includes('{name}')")
