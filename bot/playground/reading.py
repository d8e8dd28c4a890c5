"""Reads a message as a person would: all its words, and the words it quotes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.playground.state import Json, Message


def words_of(message: Message) -> str:
    """Return everything a person can read in a message, a line for each part."""
    return "\n".join([message.text, *_block_texts(message.blocks), *_task_texts(message)])


def is_settled(message: Message) -> bool:
    """Tell whether a message says its last word: no line of it ends in an ellipsis, as of something that goes on."""
    return not any(line.endswith("…") for line in words_of(message).splitlines())


def quotes_of(message: Message) -> list[str]:
    """Return the quoted passages of a message: its quote blocks, and its lines that begin with ">"."""
    quoted = [_joined(part) for part in _rich_parts(message.blocks) if part.get("type") == "rich_text_quote"]
    for text in [message.text, *_marked_texts(message.blocks)]:
        quoted += _quoted_runs(text)
    return quoted


def _quoted_runs(text: str) -> Iterator[str]:
    run: list[str] = []
    for line in [*text.split("\n"), ""]:
        stripped = line.strip().removeprefix("&gt;").removeprefix(">")
        if stripped != line.strip():
            run.append(stripped.strip())
        elif run:
            yield _plain("\n".join(run))
            run = []


def _marked_texts(blocks: Sequence[Json]) -> Iterator[str]:
    """Yield the texts of blocks that may hold markup."""
    for block in blocks:
        text = block.get("text")
        if isinstance(text, dict):
            yield str(text.get("text", ""))
        elif isinstance(text, str):
            yield text


def _block_texts(blocks: Sequence[Json]) -> Iterator[str]:
    for text in _marked_texts(blocks):
        yield _plain(text)
    for block in blocks:
        for entry in [*(block.get("fields") or []), *(block.get("elements") or [])]:
            text = entry.get("text")
            if isinstance(text, dict):
                yield _plain(str(text.get("text", "")))
            elif isinstance(text, str):
                yield _plain(text)
    for part in _rich_parts(blocks):
        yield _joined(part)


def _rich_parts(blocks: Sequence[Json]) -> Iterator[Json]:
    for block in blocks:
        if block.get("type") == "rich_text":
            yield from block.get("elements") or []
        elif block.get("type") == "container":
            yield from _rich_parts(block.get("child_blocks") or [])


def _joined(part: Json) -> str:
    pieces: list[str] = []
    for element in part.get("elements") or []:
        if "elements" in element:
            pieces.append(_joined(element) + "\n")
        else:
            pieces.append(str(element.get("text") or element.get("url") or ""))
    return "".join(pieces)


def _task_texts(message: Message) -> Iterator[str]:
    for task in message.tasks.values():
        yield " ".join(str(task[key]) for key in ("title", "details", "output") if task.get(key))


def _plain(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
