import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from bot.errors import InvalidSettings, ModelUnavailable
from bot.llm.openai import MAX_REQUEST_TOKENS, OpenAIChat, OpenAIEmbedder, _batches
from bot.text.prompt import NOT_FOUND
from bot.text.tokens import count_tokens
from bot.values import Prompt, Role, Turn, Usage
from tests.fakes import FakeOpenAI, chunk, usage_chunk
from tests.llm.builders import passage

PROMPT = Prompt(
    question="When do we open?",
    search_text="When do we open?",
    passages=(passage("We open at nine o'clock.", page=3),),
    history=(Turn(Role.USER, "Hello", author="Ana"),),
)


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI().running() as server:
        yield server


@pytest.fixture
async def chat(server: FakeOpenAI) -> AsyncIterator[OpenAIChat]:
    chat = OpenAIChat(api_key="sk-test", model="gpt-4.1-mini", base_url=server.base_url, timeout_s=5)
    yield chat
    await chat.close()


@pytest.fixture
async def embedder(server: FakeOpenAI) -> AsyncIterator[OpenAIEmbedder]:
    embedder = OpenAIEmbedder(
        api_key="sk-test", model="text-embedding-3-small", dimensions=8, base_url=server.base_url, timeout_s=5
    )
    yield embedder
    await embedder.close()


async def written(chat: OpenAIChat, prompt: Prompt = PROMPT) -> tuple[list[str], list[Usage]]:
    pieces = [piece async for piece in chat.stream(prompt)]
    return [p for p in pieces if isinstance(p, str)], [p for p in pieces if isinstance(p, Usage)]


async def test_an_answer_comes_in_pieces_and_ends_with_the_servers_usage(chat: OpenAIChat) -> None:
    pieces, usage = await written(chat)

    assert len(pieces) > 1
    assert "".join(pieces) == "Nine o'clock. [1]"
    assert usage == [Usage("gpt-4.1-mini", 100, 20)]


async def test_the_request_holds_rules_history_passages_and_question(chat: OpenAIChat, server: FakeOpenAI) -> None:
    await written(chat)

    body = server.requests[0]
    assert body["model"] == "gpt-4.1-mini"
    assert body["stream_options"] == {"include_usage": True}
    assert [message["role"] for message in body["messages"]] == ["system", "user", "user"]
    assert body["messages"][1]["content"] == "Ana: Hello"
    assert 'number="1" file="handbook.md" page="3"' in body["messages"][2]["content"]
    assert "When do we open?" in body["messages"][2]["content"]


@pytest.mark.parametrize("said", [NOT_FOUND, f" {NOT_FOUND}.", f"**{NOT_FOUND}**", f"{NOT_FOUND}: sorry", "", " \n"])
async def test_not_found_is_never_shown(chat: OpenAIChat, server: FakeOpenAI, said: str) -> None:
    server.text = said

    pieces, usage = await written(chat)

    assert pieces == []
    assert len(usage) == 1


@pytest.mark.parametrize("said", ["NO", "NOT_FO", "Not found in 2019, but since. [1]", '"NOTE" it says. [1]'])
async def test_an_answer_that_begins_like_not_found_is_shown_whole(
    chat: OpenAIChat, server: FakeOpenAI, said: str
) -> None:
    server.text = said

    pieces, _ = await written(chat)

    assert "".join(pieces) == said


async def test_tokens_are_counted_here_when_the_server_states_no_usage(chat: OpenAIChat, server: FakeOpenAI) -> None:
    server.streams(chunk("Nine o'clock. [1]"), chunk(None, finish_reason="stop"), "[DONE]")

    _, usage = await written(chat)

    sent = sum(count_tokens(m["content"], "gpt-4.1-mini") for m in server.requests[0]["messages"])
    assert usage[0].completion_tokens == count_tokens("Nine o'clock. [1]", "gpt-4.1-mini")
    assert sent < usage[0].prompt_tokens < sent + 20


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_refusal_that_passes_is_tried_again_by_the_client(
    chat: OpenAIChat, server: FakeOpenAI, status: int
) -> None:
    server.fails(status)

    pieces, _ = await written(chat)

    assert "".join(pieces) == "Nine o'clock. [1]"
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_a_lasting_refusal_makes_the_model_unavailable(chat: OpenAIChat, server: FakeOpenAI, status: int) -> None:
    server.fails(status, times=3)

    with pytest.raises(ModelUnavailable) as raised:
        await written(chat)

    assert "sk-test" not in str(raised.value)
    assert str(status) in str(raised.value)


async def test_credit_that_is_used_up_is_said_so(chat: OpenAIChat, server: FakeOpenAI) -> None:
    server.fails(429, code="insufficient_quota", times=3)

    with pytest.raises(ModelUnavailable) as raised:
        await written(chat)

    assert "credit" in raised.value.user_message


@pytest.mark.parametrize(
    ("status", "setting"), [(401, "OPENAI_API_KEY"), (403, "OPENAI_API_KEY"), (404, "OPENAI_CHAT_MODEL")]
)
async def test_a_wrong_key_or_model_names_the_setting(
    chat: OpenAIChat, server: FakeOpenAI, status: int, setting: str
) -> None:
    server.fails(status)

    with pytest.raises(InvalidSettings) as raised:
        await written(chat)

    assert setting in raised.value.user_message


async def test_a_stream_cut_half_way_raises_after_what_came(chat: OpenAIChat, server: FakeOpenAI) -> None:
    server.streams(chunk("Nine o'cl"), cut=True)
    stream = chat.stream(PROMPT)

    first = await anext(stream)

    assert first == "Nine o'cl"
    with pytest.raises(ModelUnavailable):
        await anext(stream)


async def test_a_stream_that_ends_without_an_end_counts_as_cut(chat: OpenAIChat, server: FakeOpenAI) -> None:
    server.streams(chunk("Nine o'cl"))

    with pytest.raises(ModelUnavailable):
        await written(chat)


@pytest.mark.parametrize(
    "line",
    [
        "{not json",
        '{"choices": [{"delta": null}]}',
        '{"choices": 7}',
        "[]",
        '{"error": {"message": "overloaded"}}',
        "null",
    ],
)
async def test_a_malformed_piece_makes_the_model_unavailable(chat: OpenAIChat, server: FakeOpenAI, line: str) -> None:
    server.streams(chunk("Nine"), line)

    with pytest.raises(ModelUnavailable):
        await written(chat)


async def test_a_server_that_never_answers_is_given_up(server: FakeOpenAI) -> None:
    server.hangs(times=2)
    chat = OpenAIChat(api_key="k", model="m", base_url=server.base_url, timeout_s=0.1, max_retries=1)

    with pytest.raises(ModelUnavailable):
        await asyncio.wait_for(written(chat), 5)

    assert len(server.requests) == 2
    await chat.close()


async def test_a_server_that_is_not_there_makes_the_model_unavailable() -> None:
    chat = OpenAIChat(api_key="k", model="m", base_url="http://127.0.0.1:9/v1", timeout_s=1, max_retries=0)

    with pytest.raises(ModelUnavailable):
        await written(chat)

    await chat.close()


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


async def test_usage_is_read_when_it_comes_with_the_last_text(chat: OpenAIChat, server: FakeOpenAI) -> None:
    server.streams(
        chunk("Nine. [1]", finish_reason="stop"), usage_chunk(prompt_tokens=7, completion_tokens=3), "[DONE]"
    )

    _, usage = await written(chat)

    assert usage == [Usage("gpt-4.1-mini", 7, 3)]
