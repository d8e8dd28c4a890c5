"""Commands, buttons and forms: the payloads the app receives, and the addresses it may answer to."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from bot.playground.events import VERIFICATION_TOKEN
from bot.playground.limits import check_blocks, check_text
from bot.playground.refusal import ApiRefusal
from bot.playground.state import Channel, Json, Message, User, View
from bot.playground.workspace import Workspace
from bot.values import ChannelKind

TRIGGER_LIFE_S = 3.0
RESPONSE_LIFE_S = 1800.0
RESPONSE_USES = 5


@dataclass(slots=True)
class ResponseUrl:
    """Where an app may answer one interaction: five times within half an hour."""

    user: User
    channel: Channel
    message: Message | None
    made_at: float
    uses: int = 0


class Interactions:
    """Builds the payloads, gives out trigger ids and response URLs, and honours them."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = workspace.store
        self._triggers: dict[str, tuple[float, User]] = {}
        self._responses: dict[str, ResponseUrl] = {}
        self.trigger_life_s = TRIGGER_LIFE_S

    def knows(self, token: str) -> bool:
        """Tell whether a response URL that ends in this was given out."""
        return token in self._responses

    def command(self, user: User, channel: Channel, command: str, text: str) -> tuple[Json, ResponseUrl]:
        """The payload of a slash command; every value a string, as in the form Slack posts."""
        url, response = self._response_url(user, channel, None)
        return {
            "token": VERIFICATION_TOKEN,
            "team_id": self._store.team_id,
            "team_domain": self._store.domain,
            "channel_id": channel.id,
            "channel_name": "directmessage" if channel.kind is ChannelKind.IM else channel.name,
            "user_id": user.id,
            "user_name": user.handle,
            "command": command,
            "text": text,
            "api_app_id": self._store.app_id,
            "is_enterprise_install": str(self._store.enterprise_id is not None).lower(),
            **({"enterprise_id": self._store.enterprise_id} if self._store.enterprise_id else {}),
            "response_url": url,
            "trigger_id": self.new_trigger(user),
        }, response

    def block_actions(self, user: User, message: Message, action: Json) -> tuple[Json, ResponseUrl]:
        """The payload of a click in a message. Of an ephemeral one Slack doesn't send the message itself."""
        channel = self._store.channels[message.channel_id]
        url, response = self._response_url(user, channel, message)
        container: Json = {
            "type": "message",
            "message_ts": message.ts,
            "channel_id": channel.id,
            "is_ephemeral": message.seen_by is not None,
        } | ({"thread_ts": message.thread_ts} if message.thread_ts else {})
        payload = self._base("block_actions", user) | {
            "container": container,
            "trigger_id": self.new_trigger(user),
            "channel": {"id": channel.id, "name": channel.name or "directmessage"},
            "state": {"values": {}},
            "response_url": url,
            "actions": [action | {"action_ts": self._store.ids.ts()}],
        }
        return payload | ({} if message.seen_by else {"message": self._workspace.events.shown(message)}), response

    def view_actions(self, user: User, view: View, action: Json) -> Json:
        """The payload of a click in a modal or on the Home tab."""
        shown = view_json(self._store.team_id, self._store.app_id, self._store.bot_id, view)
        return self._base("block_actions", user) | {
            "container": {"type": "view", "view_id": view.id},
            "trigger_id": self.new_trigger(user),
            "view": shown,
            "actions": [action | {"action_ts": self._store.ids.ts()}],
        }

    def view_submission(self, user: User, view: View, values: Json) -> Json:
        """The payload of a modal sent off; `values` are the inputs by block and action id."""
        shown = view_json(self._store.team_id, self._store.app_id, self._store.bot_id, view)
        return self._base("view_submission", user) | {
            "trigger_id": self.new_trigger(user),
            "view": shown | {"state": {"values": values}},
            "response_urls": [],
        }

    def new_trigger(self, user: User) -> str:
        """Return an id with which the app may open one modal, within three seconds."""
        trigger = f"{secrets.randbits(40)}.{secrets.randbits(30)}.{secrets.token_hex(16)}"
        self._triggers[trigger] = (time.monotonic() + self.trigger_life_s, user)
        return trigger

    def use_trigger(self, trigger: str) -> User:
        """Return who pressed; raises `invalid_trigger_id` or `expired_trigger_id`. A trigger works once."""
        if trigger not in self._triggers:
            raise ApiRefusal("invalid_trigger_id")
        until, user = self._triggers.pop(trigger)
        if time.monotonic() > until:
            raise ApiRefusal("expired_trigger_id")
        return user

    def respond_to(self, token: str, body: Json) -> None:
        """Honour one POST to a response URL; raises `used_url`, `expired_url` or what a post would raise."""
        response = self._responses.get(token)
        if response is None:
            raise ApiRefusal("invalid_url", status=404)
        if time.monotonic() - response.made_at > RESPONSE_LIFE_S:
            raise ApiRefusal("expired_url", status=404)
        if response.uses >= RESPONSE_USES:
            raise ApiRefusal("used_url", status=404)
        response.uses += 1
        self.respond(response, body)

    def respond(self, response: ResponseUrl, body: Json) -> None:
        """Show an app's answer to an interaction: in place of the original, to everyone, or to one person."""
        if body.get("delete_original") and response.message:
            self._workspace.delete(response.message)
            return
        text, blocks = str(body.get("text") or ""), body.get("blocks") or []
        if not text and not blocks:
            raise ApiRefusal("no_text", status=400)
        check_text(text)
        check_blocks(blocks)
        if body.get("replace_original") and response.message:
            self._workspace.change(response.message, text=text, blocks=blocks)
        elif body.get("response_type") == "in_channel":
            self._workspace.post(
                self._store.bot, response.channel, text, blocks=blocks, thread_ts=body.get("thread_ts")
            )
        else:
            self._workspace.whisper(
                response.channel, response.user, text, blocks=blocks, thread_ts=body.get("thread_ts")
            )

    def _response_url(self, user: User, channel: Channel, message: Message | None) -> tuple[str, ResponseUrl]:
        token = secrets.token_urlsafe(18)
        self._responses[token] = ResponseUrl(user, channel, message, time.monotonic())
        return f"{self._store.base_url}/response/{token}", self._responses[token]

    def _base(self, kind: str, user: User) -> Json:
        return {
            "type": kind,
            "token": VERIFICATION_TOKEN,
            "api_app_id": self._store.app_id,
            "team": {"id": self._store.team_id, "domain": self._store.domain},
            "enterprise": {"id": self._store.enterprise_id} if self._store.enterprise_id else None,
            "is_enterprise_install": self._store.enterprise_id is not None,
            "user": {"id": user.id, "username": user.handle, "name": user.handle, "team_id": user.team_id},
        }


def view_json(team_id: str, app_id: str, bot_id: str, view: View) -> Json:
    """A view as Slack returns it: what the app sent, and what Slack added."""
    return {
        "id": view.id,
        "team_id": team_id,
        "callback_id": "",
        "private_metadata": "",
        "state": {"values": {}},
        "hash": view.hash,
        "root_view_id": view.id,
        "previous_view_id": None,
        "app_id": app_id,
        "app_installed_team_id": team_id,
        "bot_id": bot_id,
        **view.content,
    }
