"""Holds what goes over the wire to Slack's own types, as far as the shared folder has schemas of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

from bot.playground.web_api import RecordedCall

Json = dict[str, Any]

OWN_FILES = {
    "chat.postMessage": "PostMessage",
    "chat.update": "Update",
    "chat.startStream": "StartStream",
    "chat.appendStream": "AppendStream",
    "chat.stopStream": "StopStream",
    "assistant.threads.setStatus": "SetStatus",
    "assistant.threads.setSuggestedPrompts": "SetPrompts",
}
VIEW_SCHEMAS = {"home": "Home", "modal": "Modal"}


class Contracts:
    """Slack's published shapes. What has no schema is noted in `surfaces_without_schema`, never passed over."""

    def __init__(self, shared: Path) -> None:
        self._folder = shared / "contracts"
        self._validators: dict[str, Draft7Validator] = {}
        self.surfaces_without_schema: set[str] = set()

    def check_event(self, event: Json) -> None:
        """Fail unless this inner event has the shape Slack gives it; its types know no tombstones, and no conversions."""
        if str(event.get("subtype")).startswith("channel_convert_to_"):
            self.surfaces_without_schema.add("a channel made private or public")
            event = {**event, "subtype": "channel_archive", "team": ""}
        if event.get("message", {}).get("subtype") == "tombstone":
            self.surfaces_without_schema.add("a deleted message that has replies")
            event = event | {"message": event["previous_message"]}
        self._check("Event", event, f"event {event['type']} {event.get('subtype', '')}")

    def check_call(self, method: str, args: Json) -> None:
        """Fail unless the arguments of this call, and the blocks and view in them, are of Slack's types."""
        if method in OWN_FILES:
            self._check(OWN_FILES[method], args, method)
        elif method in self._methods["definitions"]:
            self._check_small(method, args)
        else:
            self.surfaces_without_schema.add(f"arguments of {method}")
        if "blocks" in args:
            self._check("Blocks", args["blocks"], f"blocks of {method}")
        if "chunks" in args:
            self._check("Chunks", args["chunks"], f"chunks of {method}")
        if view := args.get("view"):
            self._check(VIEW_SCHEMAS[view["type"]], view, f"view of {method}")

    def check_blocks(self, blocks: list[Json], what: str) -> None:
        """Fail unless these blocks, sent outside the Web API, are of Slack's types."""
        self._check("Blocks", blocks, what)

    def check_all(self, events: Iterable[Json], calls: Iterable[RecordedCall]) -> None:
        """Check everything a run sent, and note what none of it can be checked against."""
        for event in events:
            self.check_event(event)
        for call in calls:
            if call.error != "unknown_method":
                self.check_call(call.method, call.args)
        self.surfaces_without_schema |= {"responses of the Web API", "envelopes", "commands", "interactions"}

    def report(self) -> str:
        """Name every surface that has no schema, a line each."""
        return "\n".join(["no schema for:", *(f"  {surface}" for surface in sorted(self.surfaces_without_schema))])

    @cached_property
    def _methods(self) -> Json:
        return self._load("Methods")

    def _check_small(self, method: str, args: Json) -> None:
        schema = {**self._methods["definitions"][method], "definitions": self._methods["definitions"]}
        self._validate(self._validators.setdefault(method, Draft7Validator(schema)), args, method)

    def _check(self, name: str, instance: object, what: str) -> None:
        if name not in self._validators:
            self._validators[name] = Draft7Validator(self._load(name))
        self._validate(self._validators[name], instance, what)

    def _validate(self, validator: Draft7Validator, instance: object, what: str) -> None:
        if validator.is_valid(instance):
            return
        problem = best_match(validator.iter_errors(instance))
        assert problem is not None
        raise AssertionError(f"{what}: {list(problem.absolute_path)} {problem.message[:400]}")

    def _load(self, name: str) -> Json:
        loaded: Json = json.loads((self._folder / f"{name}.schema.json").read_text("utf-8"))
        return loaded
