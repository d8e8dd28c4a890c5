"""Recollect: a Slack bot that remembers what a team shares with it."""
