"""assistant.threads.* and agents.sessions.*: what the app shows of its work."""

from __future__ import annotations

from bot.playground.call import Call, Method, Methods
from bot.playground.refusal import ApiRefusal
from bot.playground.state import Json

SESSION_STATUSES = {"processing", "active", "suspended", "closed"}
MAX_LOADING_MESSAGES = 10
MAX_PROMPTS = 4
MAX_TITLE_CHARS = 200


def set_status(call: Call) -> Json:
    """Show a line such as "is reading handbook.pdf…" below a thread; "" takes it away."""
    channel = call.open_channel("channel_id")
    thread = call.message(channel, call.required("thread_ts"), error="thread_not_found")
    loading = call.args.get("loading_messages") or []
    if not isinstance(loading, list) or len(loading) > MAX_LOADING_MESSAGES:
        raise ApiRefusal("invalid_arguments", messages=["[ERROR] at most 10 loading_messages"])
    call.workspace.set_status(channel.id, thread.root_ts, call.text("status"), [str(line) for line in loading])
    return {}


def set_prompts(call: Call) -> Json:
    """Offer up to four questions in a DM."""
    channel = call.open_channel("channel_id")
    prompts = call.items("prompts")
    if not 1 <= len(prompts) <= MAX_PROMPTS or any(not p.get("title") or not p.get("message") for p in prompts):
        raise ApiRefusal("invalid_arguments", messages=["[ERROR] 1 to 4 prompts, each with title and message"])
    call.workspace.prompts[channel.id] = {"title": call.text("title"), "prompts": prompts}
    call.workspace.watchers.tell("prompts", channel=channel.id, title=call.text("title"), prompts=prompts)
    return {}


def set_title(call: Call) -> Json:
    """Name a thread."""
    channel = call.open_channel("channel_id")
    call.message(channel, call.required("thread_ts"), error="thread_not_found")
    _check_title(call.required("title"))
    return {}


def session_status(call: Call) -> Json:
    """Say how a session stands; one that is no longer processing shows no status line."""
    channel = call.open_channel("channel_id")
    if call.required("status") not in SESSION_STATUSES:
        raise ApiRefusal("invalid_arguments", messages=["[ERROR] unknown status"])
    if call.text("thread_ts") and call.text("status") != "processing":
        call.workspace.set_status(channel.id, call.text("thread_ts"), "", [])
    return {}


def rename_session(call: Call) -> Json:
    """Name a session."""
    call.open_channel("channel_id")
    _check_title(call.required("title"))
    return {}


def _check_title(title: str) -> None:
    if len(title) > MAX_TITLE_CHARS:
        raise ApiRefusal("invalid_arguments", messages=["[ERROR] title must be at most 200 characters"])


METHODS: Methods = {
    "agents.sessions.rename": Method(rename_session, scope="chat:write"),
    "agents.sessions.setStatus": Method(session_status, scope="chat:write"),
    "assistant.threads.setStatus": Method(set_status, scope="chat:write"),
    "assistant.threads.setSuggestedPrompts": Method(set_prompts, scope="assistant:write"),
    "assistant.threads.setTitle": Method(set_title, scope="assistant:write"),
}
