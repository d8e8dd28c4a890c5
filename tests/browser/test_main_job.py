"""The main job as a newcomer does it: drop a file, ask in its thread, read the proof."""

from __future__ import annotations

import pytest

from tests.browser.acts import THREAD, ask, say, upload
from tests.browser.conftest import HANDBOOK
from tests.browser.tab import Tab

pytestmark = pytest.mark.browser

# Keeps every length that the text of an answer has while it is being written.
WATCH = """() => {
  window.lengths = [];
  new MutationObserver(() => {
    const writing = document.querySelector("#thread .writing");
    if (writing && writing.innerText.length !== window.lengths.at(-1)) window.lengths.push(writing.innerText.length);
  }).observe(document.getElementById("thread"), { childList: true, subtree: true });
}"""


async def test_a_pdf_is_uploaded_and_a_question_answered_with_quote_file_and_page(page: Tab) -> None:
    await upload(page, HANDBOOK)
    receipt = await page.words("#replies")
    await page.run(WATCH)

    answer = await ask(page, "How many days of annual leave do I get?")

    quoted = await page.words("#thread .message:last-of-type blockquote")
    assert "brackwater-handbook.pdf: read" in receipt
    assert "@Recollect How many days" in answer
    assert "27 days" in quoted
    assert "brackwater-handbook.pdf, page " in answer
    assert (await page.evaluate("window.lengths")) != []


async def test_a_source_opens_the_message_that_shared_the_file_here_and_in_a_fresh_window(page: Tab) -> None:
    await upload(page, HANDBOOK)
    await ask(page, "How many days of annual leave do I get?")
    await page.click(".side .place", "handbook")
    await page.click(".side .place", "general")
    await page.click("#list .summary")

    await page.click("#replies a", "brackwater-handbook.pdf, page")
    await page.wait_for("document.querySelector('.flash .file')")
    flashed = await page.words(".flash")
    permalink = await page.evaluate("location.href")
    await page.goto(permalink)
    await page.wait_for("document.querySelector('.flash .file')")

    assert "brackwater-handbook.pdf" in flashed
    assert "/archives/" in permalink
    assert "27 days" in await page.wait_for_words("#thread", "27 days")


async def test_a_refusal_offers_the_nearest_passages_and_shows_them_in_the_thread(page: Tab) -> None:
    await upload(page, HANDBOOK)
    refusal = await ask(page, "Who won the table tennis tournament last summer?")

    await page.click("#thread button", "Show me the nearest passages")

    shown = await page.wait_for_words("#replies .ephemeral", "brackwater-handbook.pdf, page")
    assert "found nothing" in refusal
    assert "Only visible to you" in shown
    assert await page.count("#replies .ephemeral blockquote") >= 3
    assert await page.evaluate("document.querySelector('.only-you').getBoundingClientRect().top") > 56  # below the bar


async def test_a_file_dropped_onto_a_channel_is_shared_and_read(page: Tab) -> None:
    await page.drop("#list .welcome", HANDBOOK)
    chip = await page.words("#main .chips")
    await page.click("#main .send")

    receipt = await page.wait_for_words("#thread", "Ask me about it here.", within_s=30)

    assert "brackwater-handbook.pdf" in chip
    assert "brackwater-handbook.pdf: read" in receipt
    assert await page.count(".drop") == 0


async def test_a_file_and_its_question_may_come_together(page: Tab) -> None:
    await page.upload("#main input[type=file]", HANDBOOK)
    await say(page, "#main textarea", "@Recollect How long does probation last?")

    thread = await page.wait_for_words("#thread", "six months", within_s=30)

    assert "six months" in thread
    assert "page " in await page.wait_for_words("#thread", "brackwater-handbook.pdf, page")


async def test_a_name_begun_with_an_at_sign_is_offered_and_taken_with_enter(quiet_page: Tab) -> None:
    await quiet_page.type("#main textarea", "Hello @rec")
    offered = await quiet_page.words("#main .menu")
    await quiet_page.press("Enter")

    typed = await quiet_page.evaluate("document.querySelector('#main textarea').value")

    assert "Recollect" in offered
    assert typed == "Hello @Recollect "


async def test_the_thread_closes_with_escape_and_a_draft_is_kept(page: Tab) -> None:
    await upload(page, HANDBOOK)
    await page.type(THREAD, "half a question")
    await page.press("Escape")
    closed = await page.evaluate("document.getElementById('thread').hidden")

    await page.click("#list .summary")

    assert closed
    assert "half a question" in await page.evaluate(f"document.querySelector('{THREAD}').value")
