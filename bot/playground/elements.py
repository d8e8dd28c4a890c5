"""Finds what can be pressed in a message's blocks, and says it was pressed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.errors import NotFound
from bot.playground.state import Json


def elements_of(blocks: Sequence[Json]) -> Iterator[tuple[str, Json]]:
    """Yield every interactive element, with its block's id."""
    for index, block in enumerate(blocks):
        block_id = str(block.get("block_id") or f"b{index}")
        candidates = [*(block.get("elements") or []), block.get("accessory")]
        for element in candidates:
            if isinstance(element, dict) and "action_id" in element:
                yield block_id, element


def find_element(blocks: Sequence[Json], action_id: str, value: str | None = None) -> tuple[str, Json]:
    """Return the element of this id, and of this value when one is given; raises NotFound."""
    for block_id, element in elements_of(blocks):
        if element["action_id"] == action_id and (value is None or value in _values(element)):
            return block_id, element
    raise NotFound(f"no element {action_id}", user_message="That button is gone.")


def action_from(block_id: str, element: Json, value: str | None) -> Json:
    """Return the action Slack reports for pressing an element; of a feedback pair, the side of this value."""
    action: Json = {"type": element["type"], "action_id": element["action_id"], "block_id": block_id}
    if element["type"] == "feedback_buttons":
        sides = [element["positive_button"], element["negative_button"]]
        pressed = next((side for side in sides if side.get("value") == value), sides[0])
        return action | {"text": pressed["text"], "value": pressed["value"]}
    if element["type"] == "static_select":
        options = element.get("options") or []
        return action | {"selected_option": next((o for o in options if o["value"] == value), None)}
    kept = {key: element[key] for key in ("text", "value", "style", "url") if key in element}
    return action | kept


def _values(element: Json) -> list[str]:
    if element["type"] == "feedback_buttons":
        return [str(element[side].get("value")) for side in ("positive_button", "negative_button")]
    if element["type"] == "static_select":
        return [str(option["value"]) for option in element.get("options") or []]
    return [str(element.get("value"))]
