"""The proxy's faults, as a client meets them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.faults.proxy import FaultProxy

_SOON_S = 0.15


class Echo:
    """A server that sends back what it gets, and remembers it."""

    def __init__(self) -> None:
        self.received = b""
        self.closed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(100):
                self.received += data
                writer.write(data)
        except ConnectionError:
            pass
        self.closed.set()
        writer.close()


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[FaultProxy]:
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with FaultProxy(server.sockets[0].getsockname()[:2]) as proxy:
        yield proxy
    server.close()


Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    yield reader, writer
    writer.transport.abort()


async def said(client: Client, data: bytes) -> bytes:
    client[1].write(data)
    return await asyncio.wait_for(client[0].read(100), _SOON_S)


async def test_what_is_said_comes_back(client: Client) -> None:
    assert await said(client, b"hello") == b"hello"


async def test_latency_delays_each_way(proxy: FaultProxy, client: Client) -> None:
    proxy.latency_s = 0.05
    began = time.monotonic()

    await said(client, b"hello")

    assert time.monotonic() - began >= 0.1


async def test_a_black_hole_holds_everything_back_until_it_is_healed(
    proxy: FaultProxy, client: Client, echo: Echo
) -> None:
    proxy.black_hole()

    with pytest.raises(TimeoutError):
        await said(client, b"hello")
    held = echo.received
    await proxy.heal()

    assert held == b""
    assert await asyncio.wait_for(client[0].read(100), _SOON_S) == b"hello"


async def test_a_black_hole_for_replies_lets_the_request_be_done(proxy: FaultProxy, client: Client, echo: Echo) -> None:
    proxy.black_hole(requests=False)

    with pytest.raises(TimeoutError):
        await said(client, b"hello")

    assert echo.received == b"hello"


async def test_a_connection_made_into_a_black_hole_hears_nothing(proxy: FaultProxy, echo: Echo) -> None:
    proxy.black_hole()
    client = await asyncio.open_connection("127.0.0.1", proxy.port)

    with pytest.raises(TimeoutError):
        await said(client, b"hello")
    await proxy.heal()

    assert await asyncio.wait_for(client[0].read(100), _SOON_S) == b"hello"
    client[1].transport.abort()


async def test_a_half_open_connection_is_dead_and_says_nothing_while_new_ones_work(
    proxy: FaultProxy, client: Client, echo: Echo
) -> None:
    await said(client, b"hello")

    proxy.half_open()
    await asyncio.wait_for(echo.closed.wait(), _SOON_S)

    with pytest.raises(TimeoutError):
        await said(client, b"anybody there?")
    other = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await said(other, b"hello") == b"hello"
    other[1].transport.abort()


async def test_a_reset_reaches_the_client_and_new_connections_work(proxy: FaultProxy, client: Client) -> None:
    await said(client, b"hello")

    proxy.reset()

    with pytest.raises(ConnectionResetError):
        await said(client, b"hello")
    other = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await said(other, b"hello") == b"hello"
    other[1].transport.abort()


async def test_a_proxy_that_is_down_refuses_and_comes_back_on_the_same_port(proxy: FaultProxy, client: Client) -> None:
    port = proxy.port
    await proxy.down()

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await proxy.heal()

    again = await asyncio.open_connection("127.0.0.1", port)
    assert await said(again, b"hello") == b"hello"
    again[1].transport.abort()
    assert proxy.connection_count <= 1


async def test_a_target_that_refuses_resets_the_client() -> None:
    async with FaultProxy(("127.0.0.1", 1)) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)

        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), _SOON_S)

        writer.close()
