"""The scopes that the bot's token needs, and what each is for. `manifest.yml` asks for just these."""

from __future__ import annotations

BOT_SCOPES = {
    "app_mentions:read": "hear when somebody mentions me",
    "assistant:write": "show what I'm doing, and suggest questions",
    "channels:history": "read threads in public channels",
    "channels:read": "know public channels and who is in them",
    "chat:write": "answer",
    "commands": "offer slash commands",
    "files:read": "read shared files",
    "groups:history": "read threads in private channels",
    "groups:read": "know private channels and who is in them",
    "im:history": "read direct messages to me",
    "im:read": "know direct messages",
    "mpim:history": "read threads in group messages",
    "mpim:read": "know group messages and who is in them",
    "users:read": "know people's names, and who is a guest",
}

OPTIONAL_SCOPES = {"users:read.email": "know people's addresses"}
