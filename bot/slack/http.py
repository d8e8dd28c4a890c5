"""Slack over HTTP: signed requests to one path, handed to Bolt."""

from __future__ import annotations

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp

EVENTS_PATH = "/slack/events"


def mount_slack(app: web.Application, bolt: AsyncApp) -> None:
    """Serve Slack's events, commands and clicks at `/slack/events`; Bolt checks the signature."""

    async def on_request(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await bolt.async_dispatch(await to_bolt_request(request)))

    app.router.add_post(EVENTS_PATH, on_request)
