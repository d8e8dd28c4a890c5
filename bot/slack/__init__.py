"""Slack: what comes in as events, commands and clicks, and what goes out."""
