"""The store's things as Slack's JSON shows them."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import quote

from bot.playground.state import Channel, File, Json, Message, Store, User
from bot.values import ChannelKind, UserKind

CHANNEL_TYPES = {
    ChannelKind.PUBLIC: "channel",
    ChannelKind.PRIVATE: "group",
    ChannelKind.IM: "im",
    ChannelKind.MPIM: "mpim",
}
"""What events call each kind of channel."""

PRETTY_TYPES = {
    "pdf": "PDF",
    "docx": "Word Document",
    "xlsx": "Excel Spreadsheet",
    "pptx": "PowerPoint",
    "md": "Markdown",
}


def user_json(user: User, *, with_email: bool) -> Json:
    """A person as `users.info` shows them; the address only to those who may see it."""
    profile: Json = {
        "title": "",
        "phone": "",
        "skype": "",
        "real_name": user.name,
        "real_name_normalized": user.name,
        "display_name": user.name,
        "display_name_normalized": user.name,
        "status_text": "",
        "status_text_canonical": "",
        "status_emoji": "",
        "status_emoji_display_info": [],
        "status_expiration": 0,
        "avatar_hash": "",
        "first_name": user.name.split(" ")[0],
        "last_name": " ".join(user.name.split(" ")[1:]),
        **{f"image_{size}": "" for size in (24, 32, 48, 72, 192, 512)},
        "team": user.team_id,
        "fields": None,
    }
    if with_email and user.email:
        profile["email"] = user.email
    return {
        "id": user.id,
        "team_id": user.team_id,
        "name": user.handle,
        "deleted": user.deleted,
        "color": "4bbe2e",
        "real_name": user.name,
        "tz": "Europe/London",
        "tz_label": "Greenwich Mean Time",
        "tz_offset": 0,
        "profile": profile,
        "is_admin": user.is_admin,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": user.kind is UserKind.GUEST,
        "is_ultra_restricted": False,
        "is_bot": user.is_bot,
        **({"is_stranger": True} if user.kind is UserKind.EXTERNAL else {}),
        "updated": 1_700_000_000,
        "is_email_confirmed": True,
        "is_app_user": False,
        "locale": "en-GB",
        "who_can_share_contact_card": "EVERYONE",
    }


def channel_json(store: Store, channel: Channel) -> Json:
    """A channel as `conversations.info` shows it to the bot."""
    if channel.kind is ChannelKind.IM:
        other = next((m for m in channel.members if m != store.bot.id), store.bot.id)
        return {
            "id": channel.id,
            "created": channel.created,
            "is_archived": False,
            "is_im": True,
            "is_org_shared": False,
            "context_team_id": store.team_id,
            "user": other,
        }
    outsiders = store.has_outsiders(channel)
    return {
        "id": channel.id,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": channel.kind is ChannelKind.PUBLIC,
        "is_group": channel.kind is ChannelKind.PRIVATE,
        "is_im": False,
        "is_mpim": channel.kind is ChannelKind.MPIM,
        "is_private": channel.kind is not ChannelKind.PUBLIC,
        "created": channel.created,
        "is_archived": channel.archived,
        "is_general": channel.name == "general",
        "is_member": store.bot.id in channel.members,
        "is_shared": outsiders,
        "is_ext_shared": outsiders,
        "is_org_shared": False,
        "is_pending_ext_shared": False,
        "context_team_id": store.team_id,
        "creator": channel.creator_id,
        "topic": {"value": channel.topic, "creator": channel.creator_id, "last_set": channel.created},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "num_members": len(channel.members),
    }


def file_type(name: str) -> str:
    """Slack's short word for a kind of file: its suffix, or "binary"."""
    return PurePosixPath(name).suffix.lower().removeprefix(".") or "binary"


def file_json(store: Store, file: File) -> Json:
    """A file as `files.info` shows it, with the addresses to fetch it from."""
    shared_in = {share.channel_id for share in file.shares}
    places = [store.channels[channel_id] for channel_id in sorted(shared_in)]
    path = f"{store.team_id}-{file.id}/{quote(file.name)}"
    kind = file_type(file.name)
    return {
        "id": file.id,
        "created": file.created,
        "timestamp": file.created,
        "name": file.name,
        "title": file.title,
        "mimetype": file.mimetype,
        "filetype": kind,
        "pretty_type": PRETTY_TYPES.get(kind, kind.upper()),
        "user": file.user_id,
        "user_team": store.users[file.user_id].team_id,
        "editable": False,
        "size": len(file.data),
        "mode": "external" if file.external_url else "hosted",
        "is_external": file.external_url is not None,
        "external_type": "gdrive" if file.external_url else "",
        "is_public": any(place.kind is ChannelKind.PUBLIC for place in places),
        "public_url_shared": False,
        "display_as_bot": False,
        "username": "",
        "url_private": file.external_url or f"{store.base_url}/files-pri/{path}",
        "url_private_download": file.external_url
        or f"{store.base_url}/files-pri/{store.team_id}-{file.id}/download/{quote(file.name)}",
        "media_display_type": "unknown",
        "permalink": f"{store.base_url}/files/{file.user_id}/{file.id}/{quote(file.name)}",
        "permalink_public": f"{store.base_url}/files-public/{file.id}",
        "is_starred": False,
        "has_rich_preview": False,
        "file_access": "visible",
        "channels": [place.id for place in places if place.kind is ChannelKind.PUBLIC],
        "groups": [place.id for place in places if place.kind in (ChannelKind.PRIVATE, ChannelKind.MPIM)],
        "ims": [place.id for place in places if place.kind is ChannelKind.IM],
        "shares": shares_json(store, file),
    }


def shares_json(store: Store, file: File) -> Json:
    """Where a file is shown, as `file.shares` has it: public and private channels, each with its messages."""
    shown: Json = {}
    for share in file.shares:
        channel = store.channels[share.channel_id]
        entry: Json = {
            "ts": share.ts,
            "channel_name": channel.name,
            "team_id": store.team_id,
            "share_user_id": file.user_id,
        }
        if share.thread_ts is not None:
            entry["thread_ts"] = share.thread_ts
        side = "public" if channel.kind is ChannelKind.PUBLIC else "private"
        shown.setdefault(side, {}).setdefault(channel.id, []).append(entry)
    return shown


def message_json(store: Store, message: Message) -> Json:
    """A message as `conversations.history` and `conversations.replies` show it."""
    author = store.users[message.user_id]
    shown: Json = {
        "type": "message",
        "user": message.user_id,
        "ts": message.ts,
        "text": message.text,
        "team": store.team_id,
    }
    if author.is_bot:
        shown |= {"bot_id": store.bot_id, "app_id": store.app_id, "bot_profile": bot_profile(store)}
    optional: Json = {
        "client_msg_id": message.client_msg_id,
        "thread_ts": message.thread_ts,
        "blocks": message.blocks or None,
        "metadata": message.metadata,
        "files": [file_json(store, store.files[f]) for f in message.file_ids if f in store.files] or None,
        "edited": {"user": message.user_id, "ts": message.edited_ts} if message.edited_ts else None,
        "reactions": reactions_json(message) or None,
        "streaming_state": message.streaming,
    }
    shown |= {name: value for name, value in optional.items() if value is not None}
    if message.is_reply:
        root = store.message(message.channel_id, message.root_ts)
        shown |= {"parent_user_id": root.user_id} if root else {}
    return shown | thread_summary(store, message)


def tombstone_json(store: Store, message: Message) -> Json:
    """What stands in the place of a deleted message that others had replied to."""
    shown: Json = {"type": "message", "subtype": "tombstone", "text": "This message was deleted.", "user": "USLACKBOT"}
    return shown | {"hidden": True, "ts": message.ts} | thread_summary(store, message)


def thread_summary(store: Store, message: Message) -> Json:
    """What Slack adds to a message that others replied to; {} when nobody did."""
    replies = [] if message.is_reply else [m for m in store.thread(message.channel_id, message.ts) if m.is_reply]
    if not replies:
        return {}
    authors = list(dict.fromkeys(reply.user_id for reply in replies))
    return {
        "thread_ts": message.ts,
        "reply_count": len(replies),
        "reply_users_count": len(authors),
        "reply_users": authors,
        "latest_reply": replies[-1].ts,
    }


def reactions_json(message: Message) -> list[Json]:
    """The emoji under a message, each with who chose it."""
    return [{"name": name, "count": len(users), "users": users} for name, users in message.reactions.items() if users]


def bot_profile(store: Store) -> Json:
    """The app as it stands beside its messages."""
    return {
        "id": store.bot_id,
        "app_id": store.app_id,
        "name": store.bot.name,
        "team_id": store.team_id,
        "icons": {},
        "updated": 1_700_000_000,
        "deleted": False,
    }
