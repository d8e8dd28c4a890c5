"""What can happen to messages and files in the workspace. Each thing is done first, then told to the app and to whoever watches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import uuid4

from bot.playground.delivery import Deliveries
from bot.playground.events import Events
from bot.playground.rooms import Rooms
from bot.playground.state import Channel, File, FileShare, Json, Message, Store, User
from bot.playground.typed import rich_text
from bot.playground.watch import Watchers


class Workspace(Rooms):
    """The verbs of Slack, whoever uses them: a person through the page, the app through the Web API."""

    def __init__(self, store: Store, events: Events, deliveries: Deliveries, watchers: Watchers) -> None:
        super().__init__(store, events, deliveries, watchers)
        self.statuses: dict[tuple[str, str], Json] = {}
        self.prompts: dict[str, Json] = {}

    def post(
        self,
        author: User,
        channel: Channel,
        text: str,
        *,
        thread_ts: str | None = None,
        blocks: Sequence[Json] = (),
        files: Sequence[File] = (),
        metadata: Json | None = None,
        streaming: bool = False,
        broadcast: bool = False,
        client_msg_id: str | None = None,
    ) -> Message:
        """Put a message into a channel; the app hears of it, twice when it is named outside a DM.

        A person's post gets a `client_msg_id` of its own unless one is given.
        """
        message = Message(channel.id, self.store.ids.ts(), author.id, text, thread_ts, list(blocks), metadata=metadata)
        message.streaming = "in_progress" if streaming else None
        message.broadcast = broadcast
        if not author.is_bot:
            message.client_msg_id = client_msg_id or str(uuid4())
            message.blocks = [rich_text(text)] if text else []
        self._open_thread(message)
        self.store.put(message)
        self._mark_time(message)
        if author.is_bot:
            self._clear_status(channel.id, message.root_ts)
        for file in files:
            message.file_ids.append(file.id)
            file.shares.append(FileShare(channel.id, message.ts, thread_ts))
        self._tell_posted(message, files)
        return message

    def whisper(
        self, channel: Channel, seen_by: User, text: str, *, blocks: Sequence[Json] = (), thread_ts: str | None = None
    ) -> Message:
        """Show a message to one person only; nobody else, and no event, knows of it."""
        message = Message(channel.id, self.store.ids.ts(), self.store.bot.id, text, thread_ts, list(blocks))
        message.seen_by = seen_by.id
        self.store.ephemerals[message.ts] = message
        self._mark_time(message)
        self.show(message)
        return message

    def change(self, message: Message, *, text: str | None = None, blocks: Sequence[Json] | None = None) -> None:
        """Edit a message; what is None stays. New blocks take the place of all that was streamed."""
        previous = None if message.seen_by else self.events.message(message)
        was_named = self._names_bot(message)
        message.text = message.text if text is None else text
        if blocks is not None:
            message.blocks, message.streaming, message.tasks, message.plan_title = list(blocks), None, {}, None
        self._mark_time(message)
        if previous is not None:
            message.edited_ts = self.store.ids.ts()
            self._send(message.channel_id, self.events.message_changed(message, previous))
            if self._names_bot(message) and not was_named:
                self._send(message.channel_id, self.events.app_mention(message))
        self.show(message)

    def delete(self, message: Message) -> None:
        """Take a message away; one with replies leaves a tombstone, which the app hears of as a change."""
        if message.seen_by:
            self.store.ephemerals.pop(message.ts, None)
        else:
            previous = self.events.message(message)
            buried = self.store.drop(message)
            event = self.events.message_buried(message, previous) if buried else self.events.message_deleted(message)
            self._send(message.channel_id, event)
        self.watchers.tell("deleted", channel=message.channel_id, ts=message.ts, thread_ts=message.root_ts)

    def delete_file(self, file: File) -> None:
        """Take a file away everywhere; messages that were nothing else go with it."""
        self.store.files.pop(file.id, None)
        if any(self._hears(share.channel_id) for share in file.shares):
            self.deliveries.send(self.events.file_deleted(file))
        for share in file.shares:
            message = self.store.message(share.channel_id, share.ts)
            if message is None:
                continue
            previous = self.events.message(message)
            message.file_ids.remove(file.id)
            if message.text or message.file_ids:
                self._send(message.channel_id, self.events.message_changed(message, previous))
                self.show(message)
            else:
                self.delete(message)

    def react(self, user: User, message: Message, name: str, *, remove: bool = False) -> bool:
        """Add or remove an emoji; False when it was so already."""
        users = message.reactions.setdefault(name, [])
        if (user.id in users) is not remove:
            return False
        if remove:
            users.remove(user.id)
        else:
            users.append(user.id)
        self._send(message.channel_id, self.events.reaction("removed" if remove else "added", user, message, name))
        self.show(message)
        return True

    def grow(self, message: Message, text: str) -> None:
        """Append to a message that is being streamed; the app hears of it only when it is finished."""
        message.text += text
        self._mark_time(message)
        self.show(message)

    def finish(self, message: Message, *, blocks: Sequence[Json] = (), metadata: Json | None = None) -> None:
        """End a stream; `blocks` stand below what was streamed."""
        previous = self.events.message(message)
        message.streaming = "completed"
        message.blocks = [*message.blocks, *blocks]
        message.metadata = metadata or message.metadata
        self._mark_time(message)
        self._send(message.channel_id, self.events.message_changed(message, previous))
        self.show(message)

    def set_status(self, channel_id: str, thread_ts: str, status: str, loading_messages: Sequence[str]) -> None:
        """Show what the app is doing below a thread; "" takes it away."""
        if not status:
            self._clear_status(channel_id, thread_ts)
            return
        shown: Json = {"status": status, "loading_messages": list(loading_messages), "at": time.time()}
        self.statuses[channel_id, thread_ts] = shown
        self.watchers.tell("status", channel=channel_id, thread_ts=thread_ts, **shown)

    def show(self, message: Message) -> None:
        """Tell whoever watches how this message looks now."""
        if not self.watchers.is_watched:
            self.watchers.tell("message")  # nobody sees it: spare the making, which costs with every piece of a stream
            return
        shown = self.events.shown(message)
        self.watchers.tell(
            "message", channel=message.channel_id, message=shown | self.extras(message), seen_by=message.seen_by
        )
        if message.is_reply and (root := self.store.message(message.channel_id, message.root_ts)):
            self.watchers.tell("message", channel=root.channel_id, message=self.events.shown(root), seen_by=None)

    def extras(self, message: Message) -> Json:
        """What only the page shows: a stream's progress cards, and that nobody else sees the message."""
        tasks = list(message.tasks.values())
        extras: Json = {"tasks": tasks, "plan_title": message.plan_title} if tasks or message.plan_title else {}
        return extras | ({"ephemeral": True} if message.seen_by else {})

    def _open_thread(self, message: Message) -> None:
        """Give a thread's root its own ts as `thread_ts` at the first reply, as Slack does."""
        root = self.store.message(message.channel_id, message.thread_ts) if message.thread_ts else None
        if root is not None and root.thread_ts is None:
            root.thread_ts = root.ts

    def _tell_posted(self, message: Message, files: Sequence[File]) -> None:
        self._send(message.channel_id, self.events.message(message))
        channel = self.store.channels[message.channel_id]
        if self._names_bot(message):
            self._send(channel.id, self.events.app_mention(message))
        for file in files:
            self._send(channel.id, self.events.file_shared(file, channel))
        self.show(message)

    def _names_bot(self, message: Message) -> bool:
        """True for what Slack sends an `app_mention` for: somebody names the bot, and not in direct messages."""
        in_channel = bool(self.store.channels[message.channel_id].name)
        by_person = not self.store.users[message.user_id].is_bot
        return in_channel and by_person and f"<@{self.store.bot.id}>" in message.text

    def _mark_time(self, message: Message) -> None:
        now = time.monotonic()
        if message.text_at is None and (message.text or message.blocks):
            message.text_at = now
        message.finished_at = None if message.streaming == "in_progress" else now

    def _clear_status(self, channel_id: str, thread_ts: str) -> None:
        if self.statuses.pop((channel_id, thread_ts), None) is not None:
            self.watchers.tell("status", channel=channel_id, thread_ts=thread_ts, status="", loading_messages=[])
