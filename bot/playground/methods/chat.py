"""chat.*: posting, editing and deleting messages."""

from __future__ import annotations

from bot.playground.call import Call, Method, Methods
from bot.playground.limits import MAX_UPDATE_TEXT_CHARS, check_blocks, check_markdown, check_text
from bot.playground.refusal import ApiRefusal
from bot.playground.state import Channel, Json, Message


def post_message(call: Call) -> Json:
    """Post into a channel, a thread, or (channel = a user id) a DM."""
    channel = call.open_channel()
    text, blocks = _content(call)
    thread_ts = call.thread_ts(channel)
    call.backstage.limiter.check(channel.id)
    message = call.workspace.post(
        call.bot,
        channel,
        text,
        thread_ts=thread_ts,
        blocks=blocks,
        metadata=call.args.get("metadata"),
        broadcast=bool(call.args.get("reply_broadcast")),
    )
    return {"channel": channel.id, "ts": message.ts, "message": call.workspace.events.shown(message)}


def post_ephemeral(call: Call) -> Json:
    """Show a message to one member of the channel only."""
    channel = call.open_channel()
    user = call.store.users.get(call.required("user"))
    if user is None or user.id not in channel.members:
        raise ApiRefusal("user_not_in_channel")
    text, blocks = _content(call)
    message = call.workspace.whisper(channel, user, text, blocks=blocks, thread_ts=call.thread_ts(channel))
    return {"message_ts": message.ts}


def update(call: Call) -> Json:
    """Replace the text or blocks of one of the bot's own messages."""
    channel, message = _own_message(call, call.required("ts"), denied="cant_update_message")
    if message.streaming == "in_progress":
        raise ApiRefusal("streaming_state_conflict")
    text, blocks = _content(call, most=MAX_UPDATE_TEXT_CHARS)
    new_blocks = blocks if "blocks" in call.args or "text" not in call.args else None
    call.workspace.change(message, text=text or None, blocks=new_blocks)
    message.metadata = call.args.get("metadata", message.metadata)
    shown = call.workspace.events.shown(message)
    return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": shown}


def delete(call: Call) -> Json:
    """Take back one of the bot's own messages."""
    channel, message = _own_message(call, call.required("ts"), denied="cant_delete_message")
    call.workspace.delete(message)
    return {"channel": channel.id, "ts": message.ts}


def get_permalink(call: Call) -> Json:
    """Return the address of a message on the page."""
    channel = call.channel()
    message = call.message(channel, call.required("message_ts"))
    return {"channel": channel.id, "permalink": permalink(call.store.base_url, message)}


def permalink(base_url: str, message: Message) -> str:
    """The address of a message: /archives/CHANNEL/pTS, its thread in the query."""
    link = f"{base_url}/archives/{message.channel_id}/p{message.ts.replace('.', '')}"
    return f"{link}?thread_ts={message.thread_ts}&cid={message.channel_id}" if message.is_reply else link


def _content(call: Call, *, most: int = 40_000) -> tuple[str, list[Json]]:
    """Return text and blocks, checked; `markdown_text` becomes a text and its one markdown block."""
    text, markdown, blocks = call.text("text"), call.text("markdown_text"), call.items("blocks")
    if markdown and (text or blocks):
        raise ApiRefusal("markdown_text_conflict")
    if markdown:
        check_markdown(markdown)
        return markdown, [{"type": "markdown", "text": markdown}]
    if not text.strip() and not blocks and not call.items("attachments"):
        raise ApiRefusal("no_text")
    check_text(text, most=most)
    check_blocks(blocks)
    return text, blocks


def _own_message(call: Call, ts: str, *, denied: str) -> tuple[Channel, Message]:
    channel = call.channel()
    message = call.message(channel, ts)
    if message.user_id != call.bot.id:
        raise ApiRefusal(denied)
    return channel, message


METHODS: Methods = {
    "chat.delete": Method(delete, scope="chat:write"),
    "chat.getPermalink": Method(get_permalink),
    "chat.postEphemeral": Method(post_ephemeral, scope="chat:write"),
    "chat.postMessage": Method(post_message, scope="chat:write"),
    "chat.update": Method(update, scope="chat:write"),
}
