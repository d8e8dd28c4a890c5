"""The page on small screens, in the light and in the dark."""

from __future__ import annotations

import pytest

from tests.browser.acts import ask, upload
from tests.browser.conftest import HANDBOOK
from tests.browser.tab import Tab

pytestmark = pytest.mark.browser

# Words whose colour stands less than 4.5 : 1 from what is behind them (WCAG 2.2, 1.4.3), with that ratio.
FAINT = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (colour, [r, g, b]) => {
    canvas.fillStyle = `rgb(${r} ${g} ${b})`; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const behind = (node) => node ? over(getComputedStyle(node).backgroundColor, behind(node.parentElement)) : [255, 255, 255];
  const light = (rgb) => rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const spoken = [...document.body.querySelectorAll("*")].filter((node) => node.checkVisibility({ opacityProperty: true })
    && [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim()));
  return spoken.map((node) => [node, ratio(light(over(getComputedStyle(node).color, behind(node))), light(behind(node)))])
    .filter(([, contrast]) => contrast < 4.5).map(([node, contrast]) => `${contrast.toFixed(2)} ${node.className}: ${node.innerText}`);
}"""

# What sticks out of the window to the right, or makes it scroll sideways.
CUT = """() => [...document.querySelectorAll("html, .main *, .thread *")]
  .filter((node) => node.checkVisibility() && Math.max(node.getBoundingClientRect().right, node.matches("html") ? node.scrollWidth : 0) > innerWidth)
  .map((node) => node.outerHTML.slice(0, 120))"""

PAPER = "getComputedStyle(document.body).backgroundColor"


async def test_the_main_job_works_in_a_window_of_400_pixels(page: Tab) -> None:
    await page.resize(400, 780)

    await upload(page, HANDBOOK)
    answer = await ask(page, "How long does probation last?")
    cut = await page.run(CUT)
    await page.click("#thread button", "Close thread")
    await page.click("#main button", "Channels")
    await page.click(".side .place", "handbook")

    assert "six months" in answer
    assert cut == []
    assert "How we work" in await page.wait_for_words("#list", "How we work")
    assert await page.run(CUT) == []


async def test_the_page_follows_the_system_and_then_its_own_switch(quiet_page: Tab) -> None:
    await quiet_page.prefer("light")
    light = await quiet_page.evaluate(PAPER)
    await quiet_page.prefer("dark")
    dark = await quiet_page.evaluate(PAPER)
    await quiet_page.click("button", "Light or dark")
    switched = await quiet_page.evaluate(PAPER)
    await quiet_page.goto(await quiet_page.evaluate("location.href"))

    assert light != dark
    assert switched == light
    assert await quiet_page.evaluate(PAPER) == light


async def test_all_words_can_be_read_in_the_light_and_in_the_dark(page: Tab) -> None:
    beginning = await faint(page)

    await upload(page, HANDBOOK)
    await ask(page, "Who won the table tennis tournament last summer?")
    await page.click("#thread button", "Show me the nearest passages")
    await page.wait_for_words("#replies .ephemeral", "brackwater-handbook.pdf, page")
    await ask(page, "How long does probation last?")

    assert beginning == []
    assert await faint(page) == []


async def faint(page: Tab) -> list[str]:
    """Return the words that can't well be read, in either scheme."""
    found = []
    for scheme in ("light", "dark"):
        await page.prefer(scheme)
        found += [f"{scheme}: {words}" for words in await page.run(FAINT)]
    return found
