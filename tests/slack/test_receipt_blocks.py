"""What a receipt says of each file, and that file names stay words."""

from __future__ import annotations

import pytest

from bot.playground.block_rules import block_problems
from bot.slack.blocks import SUMMARY_LIMIT
from bot.slack.receipt_blocks import receipt_blocks, receipt_text
from bot.values import DocumentStatus, FileProgress
from tests.slack.test_blocks import FOREIGN, leaves

READY, ERROR, PROCESSING = DocumentStatus.READY, DocumentStatus.ERROR, DocumentStatus.PROCESSING


def done(name: str, *, error: str | None = None, version: int = 1) -> FileProgress:
    return FileProgress("F1", name, ERROR if error else READY, error=error, version=version, is_done=True)


def test_a_receipt_has_a_line_for_each_file() -> None:
    files = [done("a.pdf"), done(FOREIGN, error="It is empty."), done("c.txt", version=3)]

    blocks = receipt_blocks(files)

    assert block_problems(blocks) == []
    assert "".join(text["text"] for text in leaves(blocks, "text")) == (
        f" a.pdf: read. Ask me about it here.\n {FOREIGN}: It is empty.\n c.txt: read, version 3. Ask me about it here."
    )
    assert [emoji["name"] for emoji in leaves(blocks, "emoji")] == ["white_check_mark", "warning", "white_check_mark"]
    assert "<!channel>" not in receipt_text(files)
    assert len(receipt_text([done("n" * 250, error="e" * 250)] * 30)) <= SUMMARY_LIMIT


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (FileProgress("F1", None, PROCESSING, is_recorded=False), "Next I read a file …"),
        (FileProgress("F1", "a.pdf", PROCESSING, is_recorded=False), "Next I read a.pdf …"),
        (FileProgress("F1", "a.pdf", PROCESSING), "Reading a.pdf …"),
        (FileProgress("F1", "a.pdf", PROCESSING, stored=0, total=5_400), "Reading a.pdf: 0 of 5,400 passages …"),
        (
            FileProgress("F1", "a.pdf", PROCESSING, stored=1_200, total=5_400),
            "Reading a.pdf: 1,200 of 5,400 passages …",
        ),
        (FileProgress("F1", "a.pdf", ERROR, error="It is empty."), "Reading a.pdf …"),
        (
            FileProgress("F1", "a.pdf", PROCESSING, is_recorded=False, is_waiting=True),
            "Waiting for Slack to give me a.pdf …",
        ),
        (
            FileProgress("F1", "a.pdf", PROCESSING, is_waiting=True),
            "Waiting for the embedding model, which doesn't answer, to read a.pdf …",
        ),
        (
            FileProgress("F1", "a.pdf", PROCESSING, stored=1_200, total=5_400, is_waiting=True),
            "Waiting for the embedding model, which doesn't answer, to read a.pdf (1,200 of 5,400 passages are read) …",
        ),
        (
            FileProgress("F1", "a.pdf", PROCESSING, is_done=True),
            "a.pdf: I couldn't finish reading it. Please share it again.",
        ),
    ],
)
def test_a_file_that_is_not_read_yet_says_how_far_it_is(file: FileProgress, words: str) -> None:
    assert receipt_text([file]) == words
    assert "".join(text["text"] for text in leaves(receipt_blocks([file]), "text")) == f" {words}"
    assert block_problems(receipt_blocks([file])) == []


def test_when_every_file_went_it_is_said() -> None:
    assert receipt_text([]) == "The files were deleted before I had read them."
    assert block_problems(receipt_blocks([])) == []
