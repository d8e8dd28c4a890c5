"""What a receipt says, a line for each file: what became of it, or how far it is. Lines that go on end in an ellipsis."""

from __future__ import annotations

from collections.abc import Sequence

from bot.slack.blocks import NAME_LIMIT, Block, literal, rich_text, section, summary
from bot.text.visible import line_of
from bot.values import DocumentStatus, FileProgress

_NOTHING_LEFT = "The files were deleted before I had read them."

Line = tuple[str, str, str, str]
"""An emoji, and what stands before, in and after the file's name."""


def receipt_text(files: Sequence[FileProgress]) -> str:
    """Return what a receipt says for notifications."""
    lines = ("".join(_line(file)[1:]) for file in files)
    return summary("\n".join(lines) or _NOTHING_LEFT)


def receipt_blocks(files: Sequence[FileProgress]) -> list[Block]:
    """Return what a receipt says."""
    parts: list[Block] = []
    for number, file in enumerate(files):
        sign, before, name, after = _line(file)
        parts += [literal("\n")] if number else []
        parts += [{"type": "emoji", "name": sign}, literal(f" {before}"), literal(name, bold=True), literal(after)]
    return [rich_text(section(*(parts or [literal(_NOTHING_LEFT)])))]


def _line(file: FileProgress) -> Line:
    name = line_of(file.filename or "a file", limit=NAME_LIMIT)
    if file.status == DocumentStatus.READY:
        version = f", version {file.version}" if file.version > 1 else ""
        return "white_check_mark", "", name, f": read{version}. Ask me about it here."
    if file.is_done:
        reason = file.error or "I couldn't finish reading it. Please share it again."
        return "warning", "", name, f": {reason}"
    return "hourglass_flowing_sand", *_going_on(file, name)


def _going_on(file: FileProgress, name: str) -> tuple[str, str, str]:
    so_far = "" if file.total is None else f"{file.stored:,} of {file.total:,} passages"
    if file.is_waiting and file.is_recorded:
        so_far = f" ({so_far} are read)" if file.stored else ""
        return "Waiting for the embedding model, which doesn't answer, to read ", name, f"{so_far} …"
    if file.is_waiting:
        return "Waiting for Slack to give me ", name, " …"
    if not file.is_recorded:
        return "Next I read ", name, " …"
    return "Reading ", name, f": {so_far} …" if so_far else " …"
