"""Who sees what, and what foreign text may do: be read, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.acts import CHANNEL, ask, become, say, upload
from tests.browser.tab import Tab

pytestmark = pytest.mark.browser

IMAGE = "<img src=x onerror=alert(1)>"
SCRIPT = "<script>alert(2)<\u200b/script><script src=//evil.example/x.js>"
LINKS = "[press](javascript:alert(3)) ![pixel](http://evil.example/p.png) <javascript:alert(4)|there>"

# What no message may ever make: an element that loads, runs or leads where it shouldn't.
MADE = """() => [...document.querySelectorAll("script, iframe, object, embed, base, form, [onerror], [onload], img, a[href]")]
  .filter((node) => !(node.matches("head script") || node.matches("img") && node.getAttribute("src") === "/static/mark.svg"))
  .filter((node) => !(node.matches("a") && new URL(node.href).origin === location.origin))
  .map((node) => node.outerHTML)"""


async def test_markup_that_somebody_types_stays_text(quiet_page: Tab) -> None:
    await say(quiet_page, CHANNEL, f"{IMAGE} {SCRIPT} {LINKS}")

    shown = await quiet_page.wait_for_words("#list .message", "onerror")

    assert IMAGE in shown
    assert SCRIPT in shown
    assert "[press](javascript:alert(3))" in shown
    (link,) = await quiet_page.run(MADE)  # a web address becomes a link, as in Slack
    assert link.startswith('<a href="http://evil.example/p.png" target="_blank" rel="noopener noreferrer">')


async def test_markup_in_a_file_and_its_name_stays_text_in_receipt_and_answer(page: Tab, tmp_path: Path) -> None:
    hostile = tmp_path / f"{IMAGE} [x](javascript:alert(5)).txt"
    hostile.write_text(f"The password of the harbour gate is {IMAGE} {SCRIPT} {LINKS} in the winter months.\n")

    await upload(page, hostile)
    answer = await ask(page, f"What is the password of the harbour gate in the winter? {IMAGE}")

    quoted = await page.words("#thread .message:last-of-type")
    assert IMAGE in quoted
    assert "[press](javascript:alert(3))" in quoted
    assert answer.count(hostile.name) >= 3  # the file, its receipt, the source
    assert await page.run(MADE) == []


async def test_markup_looked_for_and_listed_stays_text(page: Tab, tmp_path: Path) -> None:
    hostile = tmp_path / f"{IMAGE} *bold* _x_ <@U1>.txt"
    hostile.write_text("The harbour gate is painted green.\n")
    await upload(page, hostile)

    await say(page, CHANNEL, f"/find {IMAGE} ")
    await page.wait_for_words("#list .ephemeral", IMAGE)
    await say(page, CHANNEL, "/docs list")
    await page.wait_for("document.querySelectorAll('#list .ephemeral').length === 2")

    assert hostile.name in await page.words("#list .ephemeral:last-of-type")
    assert await page.run(MADE) == []


async def test_a_guest_sees_the_channels_she_is_in_and_no_other(quiet_page: Tab) -> None:
    before = await quiet_page.words(".side-scroll")
    await quiet_page.click(".side .place", "leads")
    await say(quiet_page, CHANNEL, "The Albatross flies in May.")
    await quiet_page.wait_for_words("#list", "Albatross")

    await become(quiet_page, "Cleo")

    after = await quiet_page.words(".side-scroll")
    assert "leads" in before
    assert "general" in after
    assert "leads" not in after
    assert "handbook" not in after
    assert "Albatross" not in await quiet_page.words("body")


async def test_a_guest_who_opens_a_private_channels_address_sees_another_channel(quiet_page: Tab) -> None:
    await quiet_page.click(".side .place", "leads")
    await say(quiet_page, CHANNEL, "The Albatross flies in May.")
    await quiet_page.wait_for_words("#list", "Albatross")
    leads = await quiet_page.evaluate("location.href")
    await become(quiet_page, "Cleo")

    await quiet_page.goto(leads)

    assert "Cleo" in await quiet_page.words(".who")
    assert "Everything and everyone" in await quiet_page.words("#main .bar")
    assert "Albatross" not in await quiet_page.words("body")


async def test_what_one_person_says_another_reads_at_once_and_may_answer(quiet_page: Tab) -> None:
    await say(quiet_page, CHANNEL, "Is anybody here?")
    await quiet_page.wait_for_words("#list", "Is anybody here?")
    await become(quiet_page, "Ben")
    await say(quiet_page, CHANNEL, "I am, :wave: Ada")

    seen = await quiet_page.wait_for_words("#list", "I am, 👋 Ada")

    assert "Ada" in seen
    assert "Ben" in seen
