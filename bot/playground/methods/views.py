"""views.*: modals, and the app's Home tab."""

from __future__ import annotations

import secrets

from bot.playground.block_rules import block_problems
from bot.playground.call import Call, Method, Methods
from bot.playground.interactions import view_json
from bot.playground.limits import check_blocks
from bot.playground.refusal import ApiRefusal
from bot.playground.state import Json, View

MAX_VIEW_BLOCKS = 100


def open_view(call: Call) -> Json:
    """Open a modal for whoever pressed; needs their trigger, within three seconds."""
    content = _content(call, "modal")
    user = call.backstage.interactions.use_trigger(call.required("trigger_id"))
    view = View(call.store.ids.new("V"), user.id, content, _new_hash())
    call.store.modals[view.id] = view
    return _shown(call, view)


def update_view(call: Call) -> Json:
    """Replace what an open modal shows."""
    view = call.store.modals.get(call.required("view_id"))
    if view is None:
        raise ApiRefusal("not_found")
    _check_hash(call, view)
    view.content, view.hash = _content(call, "modal"), _new_hash()
    return _shown(call, view)


def publish(call: Call) -> Json:
    """Set the Home tab one person sees."""
    user = call.store.users.get(call.required("user_id"))
    if user is None:
        raise ApiRefusal("user_not_found")
    content = _content(call, "home")
    view = call.store.homes.get(user.id) or View(call.store.ids.new("V"), user.id, {}, "")
    _check_hash(call, view)
    view.content, view.hash = content, _new_hash()
    call.store.homes[user.id] = view
    return _shown(call, view)


def _content(call: Call, kind: str) -> Json:
    view = call.args.get("view")
    if not isinstance(view, dict) or view.get("type") != kind:
        raise ApiRefusal("invalid_arguments", messages=[f"[ERROR] view must be of type {kind}"])
    blocks = view.get("blocks")
    if not isinstance(blocks, list) or block_problems(blocks):
        raise ApiRefusal("invalid_arguments", messages=block_problems(blocks or []))
    check_blocks(blocks, most=MAX_VIEW_BLOCKS)
    if kind == "modal" and not (view.get("title") or {}).get("text"):
        raise ApiRefusal("invalid_arguments", messages=["[ERROR] missing required field: title"])
    return view


def _check_hash(call: Call, view: View) -> None:
    if call.text("hash") and call.text("hash") != view.hash:
        raise ApiRefusal("hash_conflict")


def _shown(call: Call, view: View) -> Json:
    shown = view_json(call.store.team_id, call.store.app_id, call.store.bot_id, view)
    call.workspace.watchers.tell("view", user=view.user_id, view=shown)
    return {"view": shown}


def _new_hash() -> str:
    return secrets.token_hex(8)


METHODS: Methods = {
    "views.open": Method(open_view),
    "views.publish": Method(publish),
    "views.update": Method(update_view),
}
