"""Slash commands in the channel's composer, and the buttons under what they answer."""

from __future__ import annotations

import pytest

from bot.playground.local import LocalSlack
from tests.browser.acts import CHANNEL, THREAD, become, say, upload
from tests.browser.conftest import HANDBOOK
from tests.browser.tab import Tab

pytestmark = pytest.mark.browser

PRIVATE = "#list .ephemeral"


async def test_find_shows_passages_to_the_asker_alone(page: Tab) -> None:
    await upload(page, HANDBOOK)
    await say(page, CHANNEL, "/find hotel in London")

    found = await page.wait_for_words(PRIVATE, "195 pounds")
    await become(page, "Ben")

    assert "Only visible to you" in found
    assert "brackwater-handbook.pdf, page" in found
    assert await page.count("#list .message") == 1
    assert await page.count(PRIVATE) == 0


async def test_more_turns_to_the_next_page_of_a_search(page: Tab) -> None:
    await upload(page, HANDBOOK)
    await say(page, CHANNEL, "/find days")
    first = await page.wait_for_words(PRIVATE, "5. ")

    await page.click(f"{PRIVATE} button", "More")

    second = await page.wait_for_words(PRIVATE, "6. ")
    assert "1. " in first
    assert "\n1. " not in second
    assert await page.count(PRIVATE) == 1


async def test_a_document_is_opened_kept_and_deleted_by_its_buttons(page: Tab) -> None:
    await upload(page, HANDBOOK)
    await say(page, CHANNEL, "/docs list")
    listed = await page.wait_for_words(PRIVATE, "brackwater-handbook.pdf (read)")

    await page.click(f"{PRIVATE} button", "Open")
    opened = await page.wait_for_words(PRIVATE, "shared by Ada")
    await page.click(f"{PRIVATE} button", "Delete …")
    await page.wait_for_words(PRIVATE, "can't undo that")
    await page.click(f"{PRIVATE} button", "Keep")
    await page.wait_for_words(PRIVATE, "shared by Ada")
    await page.click(f"{PRIVATE} button", "Delete …")
    await page.wait_for_words(PRIVATE, "can't undo that")
    await page.click(f"{PRIVATE} button", "Delete")
    gone = await page.wait_for_words(PRIVATE, "is forgotten")

    assert "Only visible to you" in listed
    assert "version 1" in opened
    assert "brackwater-handbook.pdf" in gone
    assert await page.count(PRIVATE) == 1


async def test_a_click_counts_although_somebody_speaks_in_the_midst_of_it(page: Tab, slack: LocalSlack) -> None:
    await upload(page, HANDBOOK)
    await say(page, CHANNEL, "/docs list")
    await page.wait_for_words(PRIVATE, "brackwater-handbook.pdf (read)")

    held = await page.hold(f"{PRIVATE} button", "Open")
    await slack.say("Ben", "general", "Good morning!")
    await page.wait_for_words("#list", "Good morning!")
    await page.release(held)

    assert "version 1" in await page.wait_for_words(PRIVATE, "shared by Ada")


async def test_a_private_answer_can_be_dismissed(page: Tab) -> None:
    await say(page, CHANNEL, "/docs list")
    await page.wait_for_words(PRIVATE, "Nothing has been shared")
    await page.hover(PRIVATE)

    await page.click(f"{PRIVATE} .tools button", "Dismiss")

    await page.wait_for(f"!document.querySelector('{PRIVATE}')")
    assert "Share a file" in await page.words("#list")


async def test_ask_answers_privately_with_the_quoted_words(page: Tab) -> None:
    await upload(page, HANDBOOK)
    await say(page, CHANNEL, "/ask How long does probation last?")

    await page.wait_for("[...document.querySelectorAll('#list .ephemeral blockquote')].length")

    answer = await page.words("#list .ephemeral:last-of-type")
    assert "six months" in answer
    assert "Only visible to you" in answer


async def test_a_command_in_a_thread_is_refused_with_a_sentence_and_kept(page: Tab) -> None:
    await upload(page, HANDBOOK)
    await page.run("() => { const f = document.querySelector('#thread textarea'); f.value = ''; }")
    await say(page, THREAD, "/find hotel")

    said = await page.wait_for_words("#toasts", "/find is not supported in threads. Sorry!")

    assert said
    assert await page.evaluate(f"document.querySelector('{THREAD}').value") == "/find hotel"
    assert await page.count("#thread .message") == 2


async def test_commands_are_offered_as_one_types_a_slash(quiet_page: Tab) -> None:
    await quiet_page.type(CHANNEL, "/")
    offered = await quiet_page.words("#main .menu")
    await quiet_page.call("Input.insertText", text="do")
    await quiet_page.press("Tab")

    typed = await quiet_page.evaluate(f"document.querySelector('{CHANNEL}').value")

    assert all(name in offered for name in ("/ask", "/docs", "/find"))
    assert typed == "/docs "
