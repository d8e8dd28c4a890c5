"""A Slack on this machine: Web API, Socket Mode, and the page people see in a browser."""

from bot.playground.local import LocalSlack

__all__ = ["LocalSlack"]
