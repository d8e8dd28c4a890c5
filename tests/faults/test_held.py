"""The model that pauses half-way, as its client sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import openai
import pytest

from tests.fakes import FakeOpenAI
from tests.faults.held import hold, write_slowly

ASKED = "When do you open?"


@pytest.fixture
async def model() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI().running() as model:
        yield model


async def written(model: FakeOpenAI, question: str = ASKED) -> str:
    async with openai.AsyncOpenAI(api_key="sk-test", base_url=model.base_url, max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="fake", messages=[{"role": "user", "content": question}], stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


async def test_a_held_answer_begins_and_waits_until_it_may_go_on(model: FakeOpenAI) -> None:
    first, second = hold(model, "At nine.", "At ten.", question=ASKED)

    writing = asyncio.create_task(written(model))
    await first.wait_begun()
    await asyncio.sleep(0.05)
    waited = not writing.done()
    first.go.set()

    assert waited
    assert await writing == "At nine."
    assert not second.begun.is_set()


async def test_after_the_held_ones_the_model_answers_as_ever(model: FakeOpenAI) -> None:
    [held] = hold(model, "At nine.", question=ASKED)
    held.go.set()

    assert await written(model) == "At nine."
    assert await written(model) == model.text


async def test_who_asks_something_else_leaves_the_held_answers_to_whom_they_are_for(model: FakeOpenAI) -> None:
    [first, second] = hold(model, "At nine.", "At ten.", question=ASKED)
    first.go.set()

    assert await written(model, "Where is diesel sold?") == model.text
    assert not first.begun.is_set()
    assert await written(model) == "At nine."
    assert not second.begun.is_set()


async def test_a_slow_model_pauses_over_every_answer(model: FakeOpenAI) -> None:
    write_slowly(model, "At nine.", pause_s=0.1)
    began = time.monotonic()

    texts = await asyncio.gather(written(model), written(model))

    assert list(texts) == ["At nine.", "At nine."]
    assert 0.1 <= time.monotonic() - began < 2


async def test_a_held_answer_doesnt_keep_its_server_from_closing() -> None:
    async with FakeOpenAI().running() as model:
        [held] = hold(model, "At nine.", question=ASKED)
        writing = asyncio.create_task(written(model))
        await held.wait_begun()

    await asyncio.wait({writing}, timeout=5)
    assert writing.done()
    writing.exception()
