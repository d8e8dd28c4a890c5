"""A person's hands: what people do in Slack, for tests and for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from bot.errors import Forbidden, InvalidRequest, NotFound
from bot.playground.elements import action_from, find_element
from bot.playground.files import new_file
from bot.playground.interactions import Interactions, ResponseUrl
from bot.playground.places import Places
from bot.playground.refusal import ApiRefusal
from bot.playground.state import Channel, File, Json, Message, User, View
from bot.playground.typed import rich_text, stored_text
from bot.playground.workspace import Workspace

Attachment: TypeAlias = Path | tuple[str, bytes] | tuple[str, bytes, str]
"""A file to share: where it lies, or its name and bytes, with or without its MIME type."""


class Hands(Places):
    """People and what they do. `who` and `where` are ids, names or the things themselves.

    Whatever Slack's own client wouldn't let a person do raises InvalidRequest, NotFound or Forbidden.
    """

    def __init__(
        self, workspace: Workspace, interactions: Interactions, *, commands: Mapping[str, str] | Sequence[str]
    ) -> None:
        super().__init__(workspace)
        self.interactions = interactions
        self.commands = dict(commands) if isinstance(commands, Mapping) else dict.fromkeys(commands, "")

    async def say(
        self,
        who: User | str,
        where: Channel | str,
        text: str,
        *,
        thread_ts: str | None = None,
        files: Sequence[Attachment] = (),
        as_typed: bool = True,
    ) -> Message:
        """Post as somebody, with files if any, and return the message.

        `as_typed` text is escaped and its @names become mentions, as Slack does; else it is taken as it stands.
        """
        user, channel = self._inside(who, where)
        if not text and not files:
            raise InvalidRequest("an empty message", user_message="There is nothing to send yet.")
        if thread_ts and not (self.store.message(channel.id, thread_ts) or self.store.thread(channel.id, thread_ts)):
            raise NotFound(f"no thread {thread_ts}", user_message="That thread is gone.")
        stored = stored_text(self.store, text) if as_typed else text
        uploads = [self._upload(user, attachment) for attachment in files]
        return self.workspace.post(user, channel, stored, thread_ts=thread_ts, files=uploads)

    async def mention(
        self,
        who: User | str,
        where: Channel | str,
        text: str,
        *,
        thread_ts: str | None = None,
        files: Sequence[Attachment] = (),
    ) -> Message:
        """Post a message that begins with the bot's name."""
        named = f"<@{self.store.bot.id}> {text}".strip()
        return await self.say(who, where, named, thread_ts=thread_ts, files=files)

    async def share(
        self, who: User | str, where: Channel | str, *files: Attachment, text: str = "", thread_ts: str | None = None
    ) -> Message:
        """Post files, with or without words."""
        return await self.say(who, where, text, thread_ts=thread_ts, files=files)

    async def edit(self, message: Message, text: str) -> None:
        """Change what one of the people's messages says; a bot that is named now and wasn't before hears of it."""
        stored = stored_text(self.store, text)
        self.workspace.change(message, text=stored, blocks=[rich_text(stored)])

    async def delete(self, message: Message) -> None:
        """Delete a message."""
        self.workspace.delete(message)

    async def delete_file(self, file: File | str) -> None:
        """Delete a file everywhere."""
        file_id = file.id if isinstance(file, File) else file
        if file_id not in self.store.files:
            raise NotFound(f"no file {file_id}", user_message="That file is gone already.")
        self.workspace.delete_file(self.store.files[file_id])

    async def react(self, who: User | str, message: Message, name: str, *, remove: bool = False) -> None:
        """Put an emoji under a message, or take it away."""
        self.workspace.react(self.store.user(who), message, name, remove=remove)

    async def command(
        self, who: User | str, where: Channel | str, command: str, text: str = "", *, thread_ts: str | None = None
    ) -> str:
        """Use a slash command and return, once the app took it, a ts from before anything it answered.

        Raises InvalidRequest in a thread and for a command no app has, NotAcknowledged when the app is silent.
        """
        user, channel = self._inside(who, where)
        if thread_ts:
            raise InvalidRequest("command in a thread", user_message=f"{command} is not supported in threads. Sorry!")
        if command not in self.commands:
            raise InvalidRequest("unknown command", user_message=f"{command} is not a valid command.")
        asked_at = self.store.ids.ts()
        payload, response = self.interactions.command(user, channel, command, text)
        self._respond(response, await self.workspace.deliveries.ask("slash_commands", payload))
        return asked_at

    async def click(self, who: User | str, message: Message, action_id: str, value: str | None = None) -> str:
        """Press a button (the one of this value, when several share the id); returns a ts as `command` does.

        A feedback button is its `action_id` with the value of the side that is pressed.
        """
        user = self.store.user(who)
        if message.seen_by not in (None, user.id):
            raise Forbidden("somebody else's message", user_message="Only the person asked can press this.")
        block_id, element = find_element(message.blocks, action_id, value)
        pressed_at = self.store.ids.ts()
        payload, response = self.interactions.block_actions(user, message, action_from(block_id, element, value))
        self._respond(response, await self.workspace.deliveries.ask("interactive", payload))
        return pressed_at

    async def click_view(self, who: User | str, view_id: str, action_id: str, value: str | None = None) -> None:
        """Press a button in a modal, or on the app's Home."""
        user, view = self.store.user(who), self._view(view_id)
        block_id, element = find_element(view.content["blocks"], action_id, value)
        payload = self.interactions.view_actions(user, view, action_from(block_id, element, value))
        await self.workspace.deliveries.ask("interactive", payload)

    async def submit(self, who: User | str, view_id: str, values: Json) -> Json:
        """Send off a modal; returns {} when it closes, else the errors by block id."""
        view = self._view(view_id)
        payload = self.interactions.view_submission(self.store.user(who), view, values)
        answer = await self.workspace.deliveries.ask("interactive", payload) or {}
        if answer.get("response_action") == "errors":
            return dict(answer.get("errors") or {})
        if answer.get("response_action") in ("update", "push"):
            view.content = answer["view"]
        else:
            self.store.modals.pop(view_id, None)
        return {}

    async def stop(self, who: User | str, message: Message) -> None:
        """Press Stop while the bot is writing this message."""
        user = self.store.user(who)
        streams = [m.ts for m in self.store.thread(message.channel_id, message.root_ts) if m.streaming == "in_progress"]
        event = self.workspace.events.session_stopped(user, message.channel_id, message.root_ts, streams)
        self.workspace.deliveries.send(event)

    def _inside(self, who: User | str, where: Channel | str) -> tuple[User, Channel]:
        user, channel = self.store.user(who), self.store.channel(where)
        if user.id not in channel.members:
            raise Forbidden(f"{user.id} is not in {channel.id}", user_message=f"{user.name} isn't in this channel.")
        if channel.archived:
            raise Forbidden(f"{channel.id} is archived", user_message="This channel is archived.")
        return user, channel

    def _upload(self, user: User, attachment: Attachment) -> File:
        if isinstance(attachment, Path):
            return new_file(self.store, attachment.name, attachment.read_bytes(), user.id)
        name, data, *mimetype = attachment
        return new_file(self.store, name, data, user.id, mimetype=mimetype[0] if mimetype else None)

    def _respond(self, response: ResponseUrl, answer: Json | None) -> None:
        if not answer or not (answer.get("text") or answer.get("blocks")):
            return
        try:
            self.interactions.respond(response, answer)
        except ApiRefusal as refusal:
            raise InvalidRequest(
                refusal.error, user_message="The app answered with something Slack can't show."
            ) from refusal

    def _view(self, view_id: str) -> View:
        for view in [*self.store.modals.values(), *self.store.homes.values()]:
            if view.id == view_id:
                return view
        raise NotFound(f"no view {view_id}", user_message="That window is closed already.")
