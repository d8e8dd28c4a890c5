"""Each reason is said in words, with the limit by name where one was met."""

from __future__ import annotations

import pytest

from bot.errors import UnreadableFile
from bot.parsing.reasons import Limits, Reason, sentence_for
from bot.parsing.sandbox import parse_in_sandbox
from tests.parsing.builders import pdf

LIMITS = {
    Reason.FILE_TOO_LARGE: "50 MB",
    Reason.TOO_MANY_PAGES: "2,000 pages",
    Reason.TOO_MUCH_TEXT: "5,000,000 characters",
    Reason.TOO_MUCH_HTML: "16 MB",
    Reason.EXPANDS: "100 times",
    Reason.TOO_SLOW: "30 seconds",
    Reason.TOO_MUCH_COMPUTING: "20 seconds",
    Reason.TOO_MUCH_MEMORY: "512 MB of memory",
    Reason.TOO_MUCH_AT_ONCE: "544 MB of memory",
    Reason.TOO_MUCH_WRITTEN: "64 MB of disk",
}


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_is_a_sentence_with_its_limit(reason: Reason) -> None:
    sentence = sentence_for(reason, Limits())

    assert sentence.endswith(".")
    assert "$" not in sentence
    assert LIMITS.get(reason, "") in sentence


async def test_two_thousand_pages_are_read_and_one_more_is_too_many() -> None:
    pages = [[f"Page {number}."] for number in range(1, 2_001)]

    document = await parse_in_sandbox(pdf(pages), "long.pdf")
    with pytest.raises(UnreadableFile) as refused:
        await parse_in_sandbox(pdf([*pages, ["One more."]]), "longer.pdf")

    assert len(document.pages) == 2_000
    assert document.text.endswith("Page 2000.")
    assert refused.value.user_message.startswith("The file has more than 2,000 pages, the most I read in one file.")


async def test_a_page_of_html_over_its_limit_names_that_one() -> None:
    with pytest.raises(UnreadableFile) as refused:
        await parse_in_sandbox(b"<html><body><p>" + b"word " * 2**20, "a.html", limits=Limits(html_bytes=3 * 2**20))

    assert refused.value.user_message.startswith("The page is larger than 3 MB")
