"""Every Web API method this Slack knows."""

from __future__ import annotations

from bot.playground.call import Methods
from bot.playground.methods import agents, chat, conversations, files, people, streams, views

METHODS: Methods = {
    **agents.METHODS,
    **chat.METHODS,
    **conversations.METHODS,
    **files.METHODS,
    **people.METHODS,
    **streams.METHODS,
    **views.METHODS,
}
