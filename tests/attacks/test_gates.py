"""Gates stop whom they are meant for, once, and are gone when the block that built them ends."""

from __future__ import annotations

import asyncio

from bot.services import ingest
from bot.services.search import SearchService
from tests.attacks.gates import Gates


async def test_a_gate_stops_the_first_who_comes_by_with_its_word_and_nobody_else() -> None:
    gates = Gates()
    gate = gates.put("embed", "zorbex")

    await asyncio.wait_for(gates.pass_by("embed", "another document"), 1)
    await asyncio.wait_for(gates.pass_by("store", "zorbex"), 1)
    stopped = asyncio.create_task(gates.pass_by("embed", "the berth of zorbex"))
    await asyncio.wait_for(gate.reached.wait(), 1)
    await asyncio.wait_for(gates.pass_by("embed", "zorbex once more"), 1)
    assert not stopped.done()

    gate.go.set()

    await asyncio.wait_for(stopped, 1)


async def test_the_bot_is_as_it_was_when_the_block_ends() -> None:
    before = vars(ingest)["parse_in_sandbox"], SearchService.search

    with Gates().built():
        assert vars(ingest)["parse_in_sandbox"] is not before[0]

    assert (vars(ingest)["parse_in_sandbox"], SearchService.search) == before
