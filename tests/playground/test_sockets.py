from __future__ import annotations

import asyncio

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.delivery import NotAcknowledged
from bot.playground.local import LocalSlack
from bot.playground.sockets import MAX_CONNECTIONS
from bot.playground.state import Channel, User
from tests.playground.conftest import Connect, Listener, refused


async def opened(slack: LocalSlack, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
    """Connect by hand, and read the hello."""
    client = AsyncWebClient(token=slack.app_token, base_url=slack.api_url)
    url = (await client.apps_connections_open(app_token=slack.app_token))["url"]
    socket = await session.ws_connect(url)
    assert (await socket.receive_json())["type"] == "hello"
    return socket


async def test_an_address_opens_one_connection_and_no_other_does(slack: LocalSlack) -> None:
    async with aiohttp.ClientSession() as session:
        first = await opened(slack, session)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"{slack.url}link/?ticket=guessed")
        assert slack.sockets.connection_count == 1
        await first.close()

    await asyncio.sleep(0.01)
    assert slack.sockets.connection_count == 0


async def test_an_event_nobody_acknowledges_comes_again_marked_as_a_retry(
    slack: LocalSlack, ada: User, general: Channel
) -> None:
    slack.sockets.ack_timeout_s = 0.05
    slack.workspace.deliveries.retry_delays_s = (0.0, 0.0)
    async with aiohttp.ClientSession() as session:
        socket = await opened(slack, session)

        await slack.say(ada, general, "hello")
        first, second = await socket.receive_json(), await socket.receive_json()
        await socket.send_json({"envelope_id": second["envelope_id"]})
        await slack.settle()

        assert (first["retry_attempt"], first["retry_reason"]) == (0, "")
        assert (second["retry_attempt"], second["retry_reason"]) == (1, "timeout")
        assert first["envelope_id"] != second["envelope_id"]
        assert first["payload"]["event_id"] == second["payload"]["event_id"]
        [delivery] = slack.deliveries
        assert (delivery.attempts, delivery.lost) == (2, False)
        await socket.close()


async def test_an_event_is_given_up_after_three_more_tries(slack: LocalSlack, ada: User, general: Channel) -> None:
    slack.sockets.ack_timeout_s = 0.02
    slack.workspace.deliveries.retry_delays_s = (0.0, 0.0, 0.0)

    await slack.say(ada, general, "nobody listens")
    await slack.settle()

    [delivery] = slack.deliveries
    assert (delivery.attempts, delivery.lost, delivery.acked_at) == (4, True, None)


async def test_an_event_waits_for_the_app_to_connect(
    slack: LocalSlack, ada: User, general: Channel, client: AsyncWebClient, connect: Connect
) -> None:
    await slack.say(ada, general, "hello")
    heard = asyncio.Event()
    bolt = AsyncApp(client=client)

    @bolt.event("message")
    async def on_message() -> None:
        heard.set()

    await connect(bolt)

    await asyncio.wait_for(heard.wait(), 5)


async def test_an_event_goes_to_one_connection_in_turn(slack: LocalSlack, ada: User, general: Channel) -> None:
    async with aiohttp.ClientSession() as session:
        sockets = [await opened(slack, session) for _ in range(2)]

        for text in ("one", "two"):
            await slack.say(ada, general, text)
        envelopes = [await asyncio.wait_for(socket.receive_json(), 2) for socket in sockets]

        texts = {envelope["payload"]["event"]["text"] for envelope in envelopes}
        assert texts == {"one", "two"}
        for socket in sockets:
            await socket.close()


async def test_more_than_ten_connections_are_sent_away(slack: LocalSlack) -> None:
    client = AsyncWebClient(token=slack.app_token, base_url=slack.api_url)
    async with aiohttp.ClientSession() as session:
        sockets = [await opened(slack, session) for _ in range(MAX_CONNECTIONS)]
        url = (await client.apps_connections_open(app_token=slack.app_token))["url"]

        eleventh = await session.ws_connect(url)
        answer = await eleventh.receive_json()

        assert (answer["type"], answer["reason"]) == ("disconnect", "too_many_websockets")
        for socket in [*sockets, eleventh]:
            await socket.close()


async def test_the_app_reconnects_when_asked_to_and_misses_nothing(
    slack: LocalSlack, app: Listener, ada: User, general: Channel
) -> None:
    await slack.sockets.refresh()
    await slack.say(ada, general, "after the refresh")

    [event] = await app.heard("message")

    assert event["text"] == "after the refresh"
    assert slack.sockets.connection_count == 1


async def test_a_mere_warning_closes_nothing(slack: LocalSlack) -> None:
    async with aiohttp.ClientSession() as session:
        socket = await opened(slack, session)

        await slack.sockets.refresh(reason="warning")

        assert (await socket.receive_json())["reason"] == "warning"
        assert slack.sockets.connection_count == 1
        await socket.close()


async def test_a_cut_connection_is_a_failed_delivery(slack: LocalSlack, ada: User, general: Channel) -> None:
    slack.workspace.deliveries.retry_delays_s = ()
    slack.sockets.ack_timeout_s = 0.1
    async with aiohttp.ClientSession() as session:
        await opened(slack, session)
        await slack.sockets.cut()

        await slack.say(ada, general, "into the void")
        await slack.settle()

    assert slack.deliveries[0].lost


async def test_waiting_for_an_app_that_never_comes_ends(slack: LocalSlack) -> None:
    with pytest.raises(NotAcknowledged):
        await slack.sockets.wait_connected(timeout_s=0.01)


async def test_nonsense_from_the_app_breaks_nothing(slack: LocalSlack, ada: User, general: Channel) -> None:
    async with aiohttp.ClientSession() as session:
        socket = await opened(slack, session)

        await socket.send_str("{{{")
        await socket.send_str("[1]")
        await socket.send_json({"envelope_id": "unknown"})
        await slack.say(ada, general, "still there?")
        envelope = await asyncio.wait_for(socket.receive_json(), 2)
        await socket.send_json({"envelope_id": envelope["envelope_id"]})
        await slack.settle()

        assert slack.deliveries[0].acked_at is not None
        await socket.close()


async def connected(slack: LocalSlack, connect: Connect, client: AsyncWebClient) -> Listener:
    """Connect an app that takes every message, with the shortest pings the SDK allows."""
    bolt = AsyncApp(client=client)
    listener = await connect(bolt)

    @bolt.event("message")
    async def on_message(body: dict[str, object]) -> None:
        listener.payloads.append(body)

    return listener


async def test_a_stalled_connection_stays_open_and_nothing_flows(
    slack: LocalSlack, ada: User, general: Channel
) -> None:
    slack.workspace.deliveries.retry_delays_s = ()
    slack.sockets.ack_timeout_s = 0.1
    async with aiohttp.ClientSession() as session:
        socket = await opened(slack, session)

        assert slack.sockets.stall() == 1
        await socket.ping(b"anybody?")
        await slack.say(ada, general, "into the void")
        await slack.settle()

        assert slack.deliveries[0].lost
        assert (slack.sockets.connection_count, slack.sockets.live_count) == (1, 0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.receive(), 0.1)
        assert not socket.closed
        await session.close()
    await gone(slack)


async def gone(slack: LocalSlack) -> None:
    async with asyncio.timeout(2):
        while slack.sockets.connection_count:
            await asyncio.sleep(0.01)


async def test_pings_are_answered_while_all_is_well(slack: LocalSlack) -> None:
    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient(token=slack.app_token, base_url=slack.api_url)
        url = (await client.apps_connections_open(app_token=slack.app_token))["url"]
        socket = await session.ws_connect(url, autoping=False)
        await socket.receive_json()

        await socket.ping(b"anybody?")

        assert (await socket.receive()).data == b"anybody?"
        await socket.close()


async def test_slack_sends_nothing_more_into_a_silence_it_noticed(
    slack: LocalSlack, ada: User, general: Channel
) -> None:
    slack.sockets.ack_timeout_s = 0.2
    async with aiohttp.ClientSession() as session:
        await opened(slack, session)
        slack.sockets.stall()
        second = await opened(slack, session)

        slack.sockets.forget_stalled()
        await slack.say(ada, general, "hello")
        envelope = await second.receive_json()
        await second.send_json({"envelope_id": envelope["envelope_id"]})
        await slack.settle()

        assert envelope["retry_attempt"] == 0
        assert slack.sockets.connection_count == slack.sockets.live_count == 1


async def test_copies_of_one_event_come_under_envelopes_of_their_own(
    slack: LocalSlack, ada: User, general: Channel
) -> None:
    slack.sockets.copies = 2
    async with aiohttp.ClientSession() as session:
        sockets = [await opened(slack, session) for _ in range(2)]

        await slack.say(ada, general, "hello")
        envelopes = [await socket.receive_json() for socket in sockets]
        await sockets[0].send_json({"envelope_id": envelopes[0]["envelope_id"]})
        await slack.settle()

        assert len({envelope["envelope_id"] for envelope in envelopes}) == 2
        assert len({envelope["payload"]["event_id"] for envelope in envelopes}) == 1
        assert (slack.deliveries[0].attempts, slack.deliveries[0].lost) == (1, False)


async def test_an_app_that_is_told_goodbye_comes_back(
    slack: LocalSlack, connect: Connect, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    app = await connected(slack, connect, client)

    await slack.sockets.close()
    await slack.sockets.wait_connected(timeout_s=5)
    await slack.say(ada, general, "after the restart")

    assert len(await app.heard("message")) == 1
    assert slack.sockets.connected_total == 2


async def test_what_happens_in_an_outage_is_lost_and_the_app_comes_back_after_it(
    slack: LocalSlack, connect: Connect, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    slack.workspace.deliveries.retry_delays_s = (0.0, 0.01)
    app = await connected(slack, connect, client)
    app.handler.client.ping_interval = 0.1

    async with slack.sockets.outage():
        await slack.say(ada, general, "nobody hears this")
        await slack.settle()
        app_client = AsyncWebClient(token=slack.app_token, base_url=slack.api_url, retry_handlers=[])
        assert await refused(app_client.apps_connections_open(app_token=slack.app_token)) == "service_unavailable"
    await slack.sockets.wait_connected()
    await slack.say(ada, general, "this is heard")

    [event] = await app.heard("message")
    assert event["text"] == "this is heard"
    assert [(delivery.attempts, delivery.lost) for delivery in slack.deliveries] == [(3, True), (1, False)]
    assert slack.workspace.deliveries.lost_count == 1


async def test_socket_mode_can_be_switched_off(slack: LocalSlack) -> None:
    app_client = AsyncWebClient(token=slack.app_token, base_url=slack.api_url)
    async with aiohttp.ClientSession() as session:
        socket = await opened(slack, session)

        await slack.sockets.disable()

        assert (await socket.receive_json())["reason"] == "link_disabled"
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        refusal = await refused(app_client.apps_connections_open(app_token=slack.app_token))
        assert refusal == "socket_mode_not_enabled"
