"""Embeddings over the wire: order, limits, failures, and what they cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from bot.errors import InvalidRequest, InvalidSettings, ModelUnavailable
from bot.llm import openai_embeddings
from bot.llm.breaker import Breaker
from bot.llm.openai_embeddings import MAX_REQUEST_TOKENS, OpenAIEmbedder, _batches
from bot.text.tokens import count_tokens
from bot.values import Usage
from tests.fakes import FakeOpenAI


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI().running() as server:
        yield server


@pytest.fixture
def usage() -> list[Usage]:
    return []


@pytest.fixture
async def embedder(server: FakeOpenAI, usage: list[Usage]) -> AsyncIterator[OpenAIEmbedder]:
    embedder = OpenAIEmbedder(
        api_key="sk-test",
        model="text-embedding-3-small",
        dimensions=8,
        base_url=server.base_url,
        timeout_s=5,
        on_usage=usage.append,
    )
    yield embedder
    await embedder.close()


async def test_vectors_are_unit_length_and_in_the_order_of_the_texts(
    embedder: OpenAIEmbedder, server: FakeOpenAI
) -> None:
    vectors = await embedder.embed(["one", "two", "three"])

    assert vectors.shape == (3, 8)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert np.allclose(vectors[1], await embedder.embed_query("two"))
    assert server.requests[0]["dimensions"] == 8


async def test_vectors_are_put_in_order_by_their_index(embedder: OpenAIEmbedder, server: FakeOpenAI) -> None:
    server.embeds([[0, 2, 0, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0, 0]], indices=[1, 0])

    vectors = await embedder.embed(["first", "second"])

    assert vectors[:, :2].tolist() == [[1, 0], [0, 1]]


async def test_no_texts_make_no_request(embedder: OpenAIEmbedder, server: FakeOpenAI) -> None:
    assert (await embedder.embed([])).shape == (0, 8)
    assert server.requests == []


async def test_many_texts_go_in_requests_of_at_most_2048(embedder: OpenAIEmbedder, server: FakeOpenAI) -> None:
    vectors = await embedder.embed([f"text {n}" for n in range(2100)])

    assert vectors.shape == (2100, 8)
    assert [len(body["input"]) for body in server.requests] == [2048, 52]


async def test_a_text_past_the_token_limit_is_cut_and_an_empty_one_filled(
    embedder: OpenAIEmbedder, server: FakeOpenAI
) -> None:
    await embedder.embed(["word " * 9000, ""])

    sent = server.requests[0]["input"]
    assert count_tokens(sent[0], "text-embedding-3-small") == 8191
    assert sent[1] == " "


@pytest.mark.parametrize("sizes", [[], [1], [8191] * 100, [150_000, 150_000, 1], [1] * 5000])
def test_requests_stay_within_both_limits_and_lose_nothing(sizes: list[int]) -> None:
    runs = list(_batches(sizes))

    assert [n for start, end in runs for n in range(start, end)] == list(range(len(sizes)))
    assert all(sum(sizes[start:end]) <= MAX_REQUEST_TOKENS and 0 < end - start <= 2048 for start, end in runs)


async def test_vectors_of_another_length_name_the_setting(embedder: OpenAIEmbedder, server: FakeOpenAI) -> None:
    server.embeds([[1.0, 2.0, 3.0]])

    with pytest.raises(InvalidSettings) as raised:
        await embedder.embed(["text"])

    assert "OPENAI_EMBEDDING_DIMENSIONS" in raised.value.user_message


@pytest.mark.parametrize("vectors", [[], [[1.0] * 8] * 3, [[0.0] * 8] * 2])
async def test_missing_surplus_and_empty_vectors_make_the_model_unavailable(
    embedder: OpenAIEmbedder, server: FakeOpenAI, vectors: list[list[float]]
) -> None:
    server.embeds(vectors)

    with pytest.raises(ModelUnavailable):
        await embedder.embed(["one", "two"])


async def test_an_embedding_refused_for_good_gives_nothing_for_a_part(
    embedder: OpenAIEmbedder, server: FakeOpenAI
) -> None:
    server.embeds([[1.0] * 8] * 2048)
    server.fails(500, times=3)

    with pytest.raises(ModelUnavailable):
        await embedder.embed(["text"] * 2050)


async def test_other_models_are_not_asked_for_a_number_of_dimensions(server: FakeOpenAI) -> None:
    embedder = OpenAIEmbedder(api_key="k", model="nomic-embed-text", dimensions=3, base_url=server.base_url)
    server.embeds([[1.0, 0.0, 0.0]])

    await embedder.embed(["text"])

    assert "dimensions" not in server.requests[0]
    await embedder.close()


async def test_what_each_request_cost_is_told_by_the_servers_word(embedder: OpenAIEmbedder, usage: list[Usage]) -> None:
    await embedder.embed(["one", "two"])
    await embedder.embed_query("three")

    assert usage == [Usage("text-embedding-3-small", 2, 0), Usage("text-embedding-3-small", 1, 0)]


async def test_what_was_spent_on_a_useless_answer_was_spent(
    embedder: OpenAIEmbedder, server: FakeOpenAI, usage: list[Usage]
) -> None:
    server.embeds([[1.0] * 8] * 3)

    with pytest.raises(ModelUnavailable):
        await embedder.embed(["one"])

    assert len(usage) == 1


async def test_a_request_that_failed_costs_nothing(
    embedder: OpenAIEmbedder, server: FakeOpenAI, usage: list[Usage]
) -> None:
    server.fails(500, times=2)

    with pytest.raises(ModelUnavailable):
        await embedder.embed(["one"])

    assert usage == []


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_refusal_that_passes_is_tried_again_once(
    embedder: OpenAIEmbedder, server: FakeOpenAI, status: int
) -> None:
    server.fails(status)

    assert (await embedder.embed_query("one")).shape == (8,)
    assert len(server.requests) == 2


async def test_a_text_the_model_refuses_is_not_the_models_absence(embedder: OpenAIEmbedder, server: FakeOpenAI) -> None:
    server.fails(400)

    with pytest.raises(InvalidRequest):
        await embedder.embed(["one"])


async def test_a_question_waits_for_its_vector_no_longer_than_a_person_would(
    embedder: OpenAIEmbedder, server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_embeddings, "QUERY_TIMEOUT_S", 0.1)
    server.hangs()

    with pytest.raises(ModelUnavailable):
        await asyncio.wait_for(embedder.embed_query("one"), 2)


async def test_an_embedding_model_that_keeps_failing_is_left_alone(server: FakeOpenAI) -> None:
    embedder = OpenAIEmbedder(
        api_key="k", model="m", dimensions=3, base_url=server.base_url, max_retries=0, breaker=Breaker("m", failures=2)
    )
    server.fails(500, times=2)

    for _ in range(4):
        with pytest.raises(ModelUnavailable):
            await embedder.embed(["one"])

    assert len(server.requests) == 2
    assert "failed several times" in (await embedder.problem() or "")
    await embedder.close()
