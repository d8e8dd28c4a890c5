"""conversations.* and reactions.*: channels, who is in them and what was said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.playground.call import SCOPE_PREFIXES, Call, Method, Methods
from bot.playground.refusal import ApiRefusal
from bot.playground.shapes import CHANNEL_TYPES, channel_json, tombstone_json
from bot.playground.state import Channel, Json, Message
from bot.values import ChannelKind

TYPE_NAMES = {
    "public_channel": ChannelKind.PUBLIC,
    "private_channel": ChannelKind.PRIVATE,
    "im": ChannelKind.IM,
    "mpim": ChannelKind.MPIM,
}


def info(call: Call) -> Json:
    """Describe one channel."""
    channel = call.channel()
    call.need_for(channel, "read")
    return {"channel": channel_json(call.store, channel)}


def list_channels(call: Call) -> Json:
    """List the channels the bot may know of, public ones unless `types` says otherwise."""
    known = (c for c in _channels(call) if c.kind is ChannelKind.PUBLIC or call.bot.id in c.members)
    channels, more = call.page([channel_json(call.store, channel) for channel in known], default=100)
    return {"channels": channels, **more}


def list_joined(call: Call) -> Json:
    """List the channels somebody is in, the bot unless `user` says who; without the bot only those it may know of."""
    who = call.text("user") or call.bot.id
    if who not in call.store.users:
        raise ApiRefusal("user_not_found")
    theirs = (c for c in _channels(call) if who in c.members)
    known = (c for c in theirs if c.kind is ChannelKind.PUBLIC or call.bot.id in c.members)
    page, more = call.page([_membership(call, channel) for channel in known], default=100, most=999)
    return {"channels": page, **more}


def _channels(call: Call) -> Iterator[Channel]:
    """Yield the channels of the `types` that are asked for, without those put away when `exclude_archived` is."""
    names = (call.text("types") or "public_channel").split(",")
    if not set(names) <= set(TYPE_NAMES):
        raise ApiRefusal("invalid_types")
    kinds = {TYPE_NAMES[name] for name in names}
    for kind in kinds:
        call.need(f"{SCOPE_PREFIXES[CHANNEL_TYPES[kind]]}:read")
    hidden = bool(call.args.get("exclude_archived"))
    yield from (c for c in call.store.channels.values() if c.kind in kinds and not (c.archived and hidden))


def _membership(call: Call, channel: Channel) -> Json:
    """A channel as `users.conversations` shows it: without `is_member` and `num_members`, as Slack documents."""
    shown = channel_json(call.store, channel)
    return {key: value for key, value in shown.items() if key not in ("is_member", "num_members")}


def members(call: Call) -> Json:
    """List who is in a channel."""
    channel = call.channel()
    call.need_for(channel, "read")
    ids, more = call.page(channel.members, default=100)
    return {"members": ids, **more}


def history(call: Call) -> Json:
    """List a channel's messages, newest first, replies left out."""
    channel = call.joined_channel()
    call.need_for(channel, "history")
    stones = call.store.tombstones[channel.id].values()
    oldest_first = sorted([*call.store.top_level(channel.id), *stones], key=lambda message: message.ts)
    page, more = call.page(_between(call, oldest_first)[::-1], default=100, most=999)
    return _messages(call, page, more)


def replies(call: Call) -> Json:
    """List a thread, oldest first, its root always before the rest. Any message of the thread names it."""
    channel = call.joined_channel()
    call.need_for(channel, "history")
    ts = call.required("ts")
    named = call.store.tombstones[channel.id].get(ts) or call.message(channel, ts, error="thread_not_found")
    rest = [message for message in call.store.thread(channel.id, named.root_ts) if message.ts != named.root_ts]
    stones = call.store.tombstones[channel.id]
    root = call.store.message(channel.id, named.root_ts) or stones.get(named.root_ts) or named
    page, more = call.page([root, *_between(call, rest)], default=1000)
    return _messages(call, page, more)


def open_conversation(call: Call) -> Json:
    """Open the direct messages with one person."""
    call.need("im:write")
    if channel_id := call.text("channel"):
        return (
            {"channel": {"id": call.channel("channel").id}}
            if channel_id in call.store.channels
            else call.refuse_argument("channel")
        )
    users = call.required("users").split(",")
    if len(users) != 1 or users[0] not in call.store.users:
        raise ApiRefusal("user_not_found")
    channel = call.store.direct_channel(users[0])
    return {"channel": channel_json(call.store, channel) if call.args.get("return_im") else {"id": channel.id}}


def join(call: Call) -> Json:
    """Bring the bot into a public channel."""
    channel = call.channel()
    if channel.kind is not ChannelKind.PUBLIC:
        raise ApiRefusal("method_not_supported_for_channel_type")
    call.workspace.join(call.bot, channel)
    return {"channel": channel_json(call.store, channel)}


def add_reaction(call: Call) -> Json:
    """Put an emoji under a message."""
    if not call.workspace.react(call.bot, _reacted(call), call.required("name")):
        raise ApiRefusal("already_reacted")
    return {}


def remove_reaction(call: Call) -> Json:
    """Take the bot's emoji away again."""
    if not call.workspace.react(call.bot, _reacted(call), call.required("name"), remove=True):
        raise ApiRefusal("no_reaction")
    return {}


def _reacted(call: Call) -> Message:
    return call.message(call.joined_channel(), call.required("timestamp"))


def _between(call: Call, messages: Sequence[Message]) -> list[Message]:
    oldest, latest = call.text("oldest") or "0", call.text("latest") or "9999999999.999999"
    if call.args.get("inclusive"):
        return [m for m in messages if float(oldest) <= float(m.ts) <= float(latest)]
    return [m for m in messages if float(oldest) < float(m.ts) < float(latest)]


def _messages(call: Call, page: Sequence[Message], more: Json) -> Json:
    shown = [_shown(call, message) for message in page]
    if not call.args.get("include_all_metadata"):
        shown = [{key: value for key, value in message.items() if key != "metadata"} for message in shown]
    return {"messages": shown, "has_more": bool(more["response_metadata"]["next_cursor"]), **more}


def _shown(call: Call, message: Message) -> Json:
    buried = message.ts in call.store.tombstones[message.channel_id]
    return tombstone_json(call.store, message) if buried else call.workspace.events.shown(message)


METHODS: Methods = {
    "conversations.history": Method(history),
    "conversations.info": Method(info),
    "conversations.join": Method(join, scope="channels:join"),
    "conversations.list": Method(list_channels),
    "conversations.members": Method(members),
    "conversations.open": Method(open_conversation),
    "conversations.replies": Method(replies),
    "reactions.add": Method(add_reaction, scope="reactions:write"),
    "reactions.remove": Method(remove_reaction, scope="reactions:write"),
    "users.conversations": Method(list_joined),
}
