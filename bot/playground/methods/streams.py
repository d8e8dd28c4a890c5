"""chat.startStream, appendStream and stopStream: a message that grows while people watch."""

from __future__ import annotations

from bot.playground.call import Call, Method, Methods
from bot.playground.limits import check_blocks, check_markdown
from bot.playground.refusal import ApiRefusal
from bot.playground.state import Channel, Json, Message
from bot.values import ChannelKind


def start_stream(call: Call) -> Json:
    """Begin a message in a thread; channels ask for whom it is written."""
    channel = call.open_channel()
    call.required("thread_ts")
    thread_ts = call.thread_ts(channel)
    _check_recipient(call, channel)
    pieces = _pieces(call)
    call.backstage.limiter.check(channel.id)
    message = call.workspace.post(call.bot, channel, "", thread_ts=thread_ts, streaming=True)
    _add(call, message, pieces)
    return {"channel": channel.id, "ts": message.ts}


def append_stream(call: Call) -> Json:
    """Add to a message that is being streamed."""
    channel, message = _open_stream(call)
    pieces = _pieces(call)
    if not pieces:
        raise ApiRefusal("no_text")
    _add(call, message, pieces)
    return {"channel": channel.id, "ts": message.ts}


def stop_stream(call: Call) -> Json:
    """End a stream, with blocks below what was written."""
    channel, message = _open_stream(call)
    pieces, blocks = _pieces(call), call.items("blocks")
    check_blocks(blocks)
    _add(call, message, pieces)
    if not message.text and not blocks and not message.tasks:
        raise ApiRefusal("no_text")
    call.workspace.finish(message, blocks=blocks, metadata=call.args.get("metadata"))
    return {"channel": channel.id, "ts": message.ts, "message": call.workspace.events.shown(message)}


def _check_recipient(call: Call, channel: Channel) -> None:
    if channel.kind is ChannelKind.IM:
        return
    if not call.text("recipient_team_id"):
        raise ApiRefusal("missing_recipient_team_id")
    recipient = call.text("recipient_user_id")
    if not recipient:
        raise ApiRefusal("missing_recipient_user_id")
    if recipient not in channel.members:
        raise ApiRefusal("user_not_in_channel")


def _open_stream(call: Call) -> tuple[Channel, Message]:
    channel = call.channel()
    message = call.message(channel, call.required("ts"))
    if message.user_id != call.bot.id:
        raise ApiRefusal("message_not_owned_by_app")
    if message.streaming != "in_progress":
        raise ApiRefusal("message_not_in_streaming_state")
    return channel, message


def _pieces(call: Call) -> list[Json]:
    """Return what is to be added as chunks, checked; `markdown_text` is one chunk of text."""
    markdown, chunks = call.text("markdown_text"), call.items("chunks")
    if markdown and chunks:
        raise ApiRefusal("cannot_provide_both_markdown_text_and_chunks")
    if markdown:
        chunks = [{"type": "markdown_text", "text": markdown}]
    for chunk in chunks:
        _check_chunk(chunk)
    return chunks


def _check_chunk(chunk: Json) -> None:
    kind = chunk.get("type") if isinstance(chunk, dict) else None
    if kind == "markdown_text" and isinstance(chunk.get("text"), str):
        check_markdown(chunk["text"])
    elif kind == "blocks":
        check_blocks(chunk.get("blocks") or [])
    elif not (kind == "task_update" and chunk.get("id") and chunk.get("title")) and not (
        kind == "plan_update" and chunk.get("title")
    ):
        raise ApiRefusal("invalid_chunks")


def _add(call: Call, message: Message, chunks: list[Json]) -> None:
    for chunk in chunks:
        kind = chunk["type"]
        if kind == "task_update":
            message.tasks[chunk["id"]] = message.tasks.get(chunk["id"], {}) | chunk
        elif kind == "plan_update":
            message.plan_title = chunk["title"]
        elif kind == "blocks":
            message.blocks = [*message.blocks, *chunk["blocks"]]
    text = "".join(chunk["text"] for chunk in chunks if chunk["type"] == "markdown_text")
    call.workspace.grow(message, text)


METHODS: Methods = {
    "chat.appendStream": Method(append_stream, scope="chat:write"),
    "chat.startStream": Method(start_stream, scope="chat:write"),
    "chat.stopStream": Method(stop_stream, scope="chat:write"),
}
