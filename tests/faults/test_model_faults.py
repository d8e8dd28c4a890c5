from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

import openai
import pytest
from openai import AsyncOpenAI

from tests.fakes import FakeOpenAI, Reply, Tally, word_vector
from tests.faults.model_faults import (
    CHAT,
    EMBEDDINGS,
    MODELS,
    Trouble,
    breaks,
    cuts,
    down,
    garbles,
    hangs,
    knows_handbook,
    refuses,
    says_no_json,
    thinks,
)


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI().running() as server:
        yield server


@pytest.fixture
async def client(server: FakeOpenAI) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="sk-test", base_url=server.base_url, max_retries=0, timeout=2) as client:
        yield client


async def said(client: AsyncOpenAI) -> str:
    chunks = await client.chat.completions.create(
        model="fake", messages=[{"role": "user", "content": "When do we open?"}], stream=True
    )
    return "".join([choice.delta.content or "" async for chunk in chunks for choice in chunk.choices])


Make = Callable[[FakeOpenAI], Reply]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda _: refuses(503), openai.InternalServerError),
        (lambda _: refuses(429, retry_after_s=3), openai.RateLimitError),
        (lambda _: breaks(), openai.APIConnectionError),
        (lambda _: hangs(0.2), openai.APIConnectionError),
    ],
)
async def test_a_request_can_come_to_nothing(
    server: FakeOpenAI, client: AsyncOpenAI, make: Make, error: type[Exception]
) -> None:
    server.script.append(make(server))

    with pytest.raises(error):
        await said(client)

    assert await said(client) == "Nine o'clock. [1]"
    assert server.chat_reported == Tally(1, 100, 20)


@pytest.mark.parametrize("make", [cuts, lambda _: garbles()])
async def test_an_answer_can_break_off_with_no_word_of_its_cost(
    server: FakeOpenAI, client: AsyncOpenAI, make: Make
) -> None:
    server.script.append(make(server))

    with pytest.raises((openai.OpenAIError, ValueError)):
        await said(client)

    assert server.chat_reported.calls == 0


async def test_embeddings_can_be_no_json(server: FakeOpenAI, client: AsyncOpenAI) -> None:
    server.script.append(says_no_json())

    with pytest.raises((openai.OpenAIError, ValueError)):
        await client.embeddings.create(model="fake", input=["harbour"])

    assert server.embedding_reported.calls == 0


async def test_what_embedding_costs_is_counted(server: FakeOpenAI, client: AsyncOpenAI) -> None:
    embedded = await client.embeddings.create(model="fake", input=["when do", "we open"], dimensions=8)

    assert embedded.usage.prompt_tokens == 4
    assert server.embedding_reported == Tally(1, 4, 0)


def test_texts_of_the_same_words_are_near_one_another() -> None:
    asked, near, far = (word_vector(text, 256) for text in ("diesel sold?", "Diesel is sold here.", "Lost keys."))

    def product(left: list[float], right: list[float]) -> float:
        return sum(a * b for a, b in zip(left, right, strict=True))

    assert product(asked, near) > 3 * abs(product(asked, far))


async def test_trouble_strikes_by_path_as_often_as_asked_and_alike_for_a_seed(server: FakeOpenAI) -> None:
    odds = {CHAT: {"down": (0.3, refuses(503)), "late": (0.1, hangs(1))}}
    first, again = Trouble(odds, seed=1), Trouble(odds, seed=1)

    struck = [first(CHAT) is not None for _ in range(1000)]

    assert struck == [again(CHAT) is not None for _ in range(1000)]
    assert 350 < sum(struck) < 450
    assert set(first.happened) == {(CHAT, "down"), (CHAT, "late")}
    assert first(EMBEDDINGS) is None


async def test_a_model_that_is_down_is_down_for_every_request(server: FakeOpenAI, client: AsyncOpenAI) -> None:
    server.trouble = down(CHAT, MODELS)
    began = time.monotonic()

    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            await said(client)
    with pytest.raises(openai.InternalServerError):
        await client.models.list()
    await client.embeddings.create(model="fake", input=["harbour"])

    assert [path for _, path in server.arrivals] == [CHAT, CHAT, EMBEDDINGS]
    assert all(at >= began for at, _ in server.arrivals)


def test_answers_are_sentences_of_the_handbook_and_their_cost_differs() -> None:
    openai = FakeOpenAI()
    knows_handbook(openai)
    short, long = (
        [{"role": "user", "content": "Diesel?"}],
        [{"role": "user", "content": "Where is diesel sold, please?"}],
    )

    assert callable(openai.text)
    assert openai.text(short).endswith(". [1]")
    assert openai.cost(short, "a b") == (1, 2)
    assert openai.cost(long, "a b c") == (5, 3)


async def test_an_answer_can_take_its_time(server: FakeOpenAI, client: AsyncOpenAI) -> None:
    server.script.append(thinks(server, 0.2))
    began = time.monotonic()

    assert await said(client) == "Nine o'clock. [1]"

    assert time.monotonic() - began >= 0.2
