from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.http_events import encoded, signature
from bot.playground.local import LocalSlack
from bot.playground.state import Channel, User


class Endpoint:
    """An app that takes everything over HTTP, and answers with `status` before Bolt sees it when that is set."""

    def __init__(self, bolt: AsyncApp) -> None:
        self.bolt = bolt
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.status: int | None = None
        self.answer_headers: dict[str, str] = {}
        self.url = ""

    async def serve(self, request: web.Request) -> web.Response:
        self.requests.append((dict(request.headers), await request.read()))
        if self.status is not None:
            return web.Response(status=self.status, headers=self.answer_headers)
        answer: web.Response = await to_aiohttp_response(await self.bolt.async_dispatch(await to_bolt_request(request)))
        return answer


@pytest.fixture
async def endpoint(slack: LocalSlack, client: AsyncWebClient) -> AsyncIterator[Endpoint]:
    bolt = AsyncApp(client=client, signing_secret=slack.signing_secret)
    endpoint = Endpoint(bolt)

    @bolt.event("message")
    async def on_message() -> None:
        return

    @bolt.command("/ask")
    async def on_ask(ack: AsyncAck) -> None:
        await ack("only you see this")

    site = web.Application()
    site.router.add_post("/slack/events", endpoint.serve)
    runner = web.AppRunner(site)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    yield endpoint
    await slack.close()
    await runner.cleanup()


def test_the_signature_is_the_sdks() -> None:
    verifier = SignatureVerifier("secret")

    assert verifier.generate_signature(timestamp="1700000000", body=b'{"a": 1}') == signature(
        "secret", "1700000000", b'{"a": 1}'
    )


async def test_events_arrive_signed_and_are_acknowledged(
    slack: LocalSlack, endpoint: Endpoint, ada: User, general: Channel
) -> None:
    await slack.deliver_over_http(endpoint.url)

    await slack.say(ada, general, "hello")
    await slack.settle()

    [delivery] = slack.deliveries
    [(headers, body)] = endpoint.requests
    assert delivery.acked_at is not None
    assert b'"event_callback"' in body
    assert headers["X-Slack-Signature"].startswith("v0=")
    assert "X-Slack-Retry-Num" not in headers


async def test_a_wrong_secret_is_refused_by_the_app(
    slack: LocalSlack, client: AsyncWebClient, endpoint: Endpoint, ada: User, general: Channel
) -> None:
    slack.workspace.deliveries.retry_delays_s = ()
    endpoint.bolt = AsyncApp(client=client, signing_secret="another secret")
    await slack.deliver_over_http(endpoint.url)

    await slack.say(ada, general, "hello")
    await slack.settle()

    assert slack.deliveries[0].lost


async def test_an_error_is_tried_again_with_the_number_and_the_reason(
    slack: LocalSlack, endpoint: Endpoint, ada: User, general: Channel
) -> None:
    slack.workspace.deliveries.retry_delays_s = (0.0,)
    await slack.deliver_over_http(endpoint.url)
    endpoint.status = 500

    await slack.say(ada, general, "hello")
    await slack.settle()

    first, second = (headers for headers, _ in endpoint.requests)
    assert "X-Slack-Retry-Num" not in first
    assert (second["X-Slack-Retry-Num"], second["X-Slack-Retry-Reason"]) == ("1", "http_error")


async def test_an_app_can_ask_for_no_more_tries(
    slack: LocalSlack, endpoint: Endpoint, ada: User, general: Channel
) -> None:
    slack.workspace.deliveries.retry_delays_s = (0.0, 0.0, 0.0)
    await slack.deliver_over_http(endpoint.url)
    endpoint.status, endpoint.answer_headers = 400, {"X-Slack-No-Retry": "1"}

    await slack.say(ada, general, "hello")
    await slack.settle()

    assert len(endpoint.requests) == 1


async def test_commands_come_as_a_form_and_their_answer_is_shown(
    slack: LocalSlack, endpoint: Endpoint, ada: User, general: Channel
) -> None:
    await slack.deliver_over_http(endpoint.url)

    await slack.command(ada, general, "/ask", "why & how?")

    [(headers, body)] = endpoint.requests
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert b"text=why+%26+how%3F" in body
    assert [m.text for m in slack.ephemerals(ada, general)] == ["only you see this"]


async def test_the_app_proves_that_the_address_is_its_own(slack: LocalSlack, endpoint: Endpoint) -> None:
    transport = await slack.deliver_over_http(endpoint.url)

    assert await transport.verify_url()

    endpoint.status = 200
    assert not await transport.verify_url()


@pytest.mark.parametrize("kind", ["slash_commands", "interactive", "events_api"])
def test_lone_surrogates_and_nul_are_sent_as_they_are(kind: str) -> None:
    body, _ = encoded(kind, {"text": "a\x00b\ud800c"})

    assert isinstance(body, bytes)
