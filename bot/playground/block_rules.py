"""What is wrong with a list of blocks, by Slack's published limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bot.playground.state import Json

Rule = Callable[[Json], Iterator[str]]

RICH_TEXT_PARTS = {"rich_text_section", "rich_text_list", "rich_text_quote", "rich_text_preformatted"}
RICH_TEXT_ELEMENTS = {"text", "link", "user", "channel", "emoji", "usergroup", "team", "date", "broadcast", "color"}
TASK_STATUSES = {"pending", "in_progress", "complete", "error"}


def block_problems(blocks: Sequence[Json]) -> list[str]:
    """Return one sentence for each thing Slack would refuse; [] for blocks in order."""
    problems: list[str] = []
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        where = f"[json-pointer:/blocks/{index}]"
        problems += [f"{problem} {where}" for problem in _problems_of(block)]
        block_id = block.get("block_id") if isinstance(block, dict) else None
        if block_id is not None and block_id in seen:
            problems.append(f"block_id {block_id} is used twice {where}")
        seen.add(str(block_id))
    return problems


def markdown_length(blocks: Sequence[Json]) -> int:
    """Count the characters of all markdown blocks together."""
    return sum(len(block["text"]) for block in blocks if block.get("type") == "markdown")


def _problems_of(block: object) -> Iterator[str]:
    if not isinstance(block, dict):
        yield "a block must be an object"
        return
    rule = RULES.get(str(block.get("type")))
    if rule is None:
        yield f"unsupported type: {block.get('type')}"
        return
    if len(str(block.get("block_id", ""))) > 255:  # noqa: PLR2004 - Slack's limit, named by the message
        yield "block_id is longer than 255 characters"
    yield from rule(block)


def _text(value: object, most: int, *, plain: bool = False) -> Iterator[str]:
    if not isinstance(value, dict) or value.get("type") not in ({"plain_text"} if plain else {"plain_text", "mrkdwn"}):
        yield "missing or wrong text object"
    elif not isinstance(value.get("text"), str) or not value["text"]:
        yield "must be more than 0 characters"
    elif len(value["text"]) > most:
        yield f"must be less than {most + 1} characters"


def _string(value: object, most: int) -> Iterator[str]:
    if not isinstance(value, str) or not value:
        yield "must be more than 0 characters"
    elif len(value) > most:
        yield f"must be less than {most + 1} characters"


def _count(value: object, most: int) -> Iterator[str]:
    if not isinstance(value, list) or not value:
        yield "must provide at least 1 item"
    elif len(value) > most:
        yield f"no more than {most} items allowed"


def _section(block: Json) -> Iterator[str]:
    if "text" not in block and "fields" not in block:
        yield "missing required field: text or fields"
    if "text" in block:
        yield from _text(block["text"], 3000)
    if "fields" in block:
        yield from _count(block["fields"], 10)
        for entry in block["fields"]:
            yield from _text(entry, 2000)
    if "accessory" in block:
        yield from _element(block["accessory"])


def _header(block: Json) -> Iterator[str]:
    yield from _text(block.get("text"), 150, plain=True)


def _markdown(block: Json) -> Iterator[str]:
    yield from _string(block.get("text"), 12_000)


def _context(block: Json) -> Iterator[str]:
    yield from _count(block.get("elements"), 10)
    for element in block.get("elements") or []:
        if element.get("type") != "image":
            yield from _text(element, 3000)


def _actions(block: Json) -> Iterator[str]:
    yield from _interactive(block, 25)


def _context_actions(block: Json) -> Iterator[str]:
    yield from _interactive(block, 5)
    for element in block.get("elements") or []:
        if element.get("type") not in {"feedback_buttons", "icon_button"}:
            yield f"unsupported element: {element.get('type')}"


def _interactive(block: Json, most: int) -> Iterator[str]:
    yield from _count(block.get("elements"), most)
    ids = [element.get("action_id") for element in block.get("elements") or []]
    if len(ids) != len(set(ids)):
        yield "action_id is used twice in one block"
    for element in block.get("elements") or []:
        yield from _element(element)


def _element(element: Json) -> Iterator[str]:
    if "action_id" in element:
        yield from _string(element["action_id"], 255)
    if element.get("type") == "button":
        yield from _text(element.get("text"), 75, plain=True)
        if "value" in element:
            yield from _string(element["value"], 2000)
        if "url" in element:
            yield from _string(element["url"], 3000)
        if element.get("style", "primary") not in {"primary", "danger"}:
            yield "style must be primary or danger"
    elif element.get("type") == "feedback_buttons":
        for side in ("positive_button", "negative_button"):
            yield from _text((element.get(side) or {}).get("text"), 75, plain=True)
            yield from _string((element.get(side) or {}).get("value"), 2000)


def _rich_text(block: Json) -> Iterator[str]:
    yield from _count(block.get("elements"), 1000)
    for part in block.get("elements") or []:
        yield from _rich_part(part)


def _rich_part(part: Json) -> Iterator[str]:
    if part.get("type") not in RICH_TEXT_PARTS:
        yield f"unsupported rich text: {part.get('type')}"
    for element in part.get("elements") or []:
        if part.get("type") == "rich_text_list":
            yield from _rich_part(element)
        elif element.get("type") not in RICH_TEXT_ELEMENTS:
            yield f"unsupported rich text element: {element.get('type')}"
        elif element.get("type") == "text" and not element.get("text"):
            yield "must be more than 0 characters"


def _task_card(block: Json) -> Iterator[str]:
    yield from _string(block.get("task_id"), 255)
    yield from _string(block.get("title"), 255)
    if block.get("status", "pending") not in TASK_STATUSES:
        yield f"unknown status: {block['status']}"


def _plan(block: Json) -> Iterator[str]:
    yield from _string(block.get("title"), 255)
    for task in block.get("tasks") or []:
        yield from _task_card(task)


def _table(block: Json) -> Iterator[str]:
    yield from _count(block.get("rows"), 100)
    for row in block.get("rows") or []:
        yield from _count(row, 20)


def _alert(block: Json) -> Iterator[str]:
    yield from _text(block.get("text"), 3000)


def _input(block: Json) -> Iterator[str]:
    yield from _text(block.get("label"), 2000, plain=True)


def _nothing(_block: Json) -> Iterator[str]:
    yield from ()


RULES: dict[str, Rule] = {
    "section": _section,
    "header": _header,
    "markdown": _markdown,
    "context": _context,
    "actions": _actions,
    "context_actions": _context_actions,
    "rich_text": _rich_text,
    "task_card": _task_card,
    "plan": _plan,
    "table": _table,
    "alert": _alert,
    "input": _input,
    "divider": _nothing,
    "image": _nothing,
    "video": _nothing,
    "file": _nothing,
    "card": _nothing,
    "carousel": _nothing,
    "container": _nothing,
}
