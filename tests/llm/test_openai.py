import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.errors import InvalidRequest, InvalidSettings, ModelUnavailable
from bot.llm.breaker import Breaker
from bot.llm.openai import OpenAIChat
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
async def test_a_refusal_is_left_to_who_can_wait(chat: OpenAIChat, server: FakeOpenAI, status: int) -> None:
    server.fails(status)

    with pytest.raises(ModelUnavailable) as raised:
        await written(chat)

    assert len(server.requests) == 1
    assert "sk-test" not in str(raised.value)
    assert str(status) in str(raised.value)
    assert raised.value.retry_after_s == 0.001


@pytest.mark.parametrize("status", [400, 422])
async def test_a_question_the_model_refuses_is_not_the_models_absence(
    chat: OpenAIChat, server: FakeOpenAI, status: int
) -> None:
    server.fails(status, times=6)

    for _ in range(6):
        with pytest.raises(InvalidRequest) as raised:
            await written(chat)

    assert "other words" in raised.value.user_message
    assert await chat.problem() is None


async def test_credit_that_is_used_up_is_said_so(chat: OpenAIChat, server: FakeOpenAI) -> None:
    server.fails(429, code="insufficient_quota")

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


async def test_usage_is_read_when_it_comes_with_the_last_text(chat: OpenAIChat, server: FakeOpenAI) -> None:
    server.streams(
        chunk("Nine. [1]", finish_reason="stop"), usage_chunk(prompt_tokens=7, completion_tokens=3), "[DONE]"
    )

    _, usage = await written(chat)

    assert usage == [Usage("gpt-4.1-mini", 7, 3)]


async def test_usage_stated_before_a_stream_breaks_is_passed_on(chat: OpenAIChat, server: FakeOpenAI) -> None:
    server.streams(chunk("Nine o'clock"), usage_chunk(prompt_tokens=7, completion_tokens=3), cut=True)
    stream = chat.stream(PROMPT)

    assert [await anext(stream), await anext(stream)] == ["Nine o'clock", Usage("gpt-4.1-mini", 7, 3)]
    with pytest.raises(ModelUnavailable):
        await anext(stream)


async def test_a_model_that_falls_silent_half_way_is_given_up(server: FakeOpenAI) -> None:
    server.streams(chunk("Nine"), stall=True)
    chat = OpenAIChat(api_key="k", model="m", base_url=server.base_url, timeout_s=0.2)

    with pytest.raises(ModelUnavailable):
        await asyncio.wait_for(written(chat), 5)

    await chat.close()


async def test_a_model_that_keeps_failing_is_left_alone_until_a_probe(server: FakeOpenAI) -> None:
    breaker = Breaker("m", rest_s=0.3)
    chat = OpenAIChat(api_key="k", model="m", base_url=server.base_url, breaker=breaker)
    server.fails(500, times=5)

    for _ in range(8):
        with pytest.raises(ModelUnavailable):
            await written(chat)
    asked = len(server.requests)
    await asyncio.sleep(0.3)
    pieces, _ = await written(chat)

    assert asked == 5, "the other three were refused here"
    assert "".join(pieces) == "Nine o'clock. [1]"
    await chat.close()


async def test_who_stops_reading_leaves_the_probe_to_the_next(server: FakeOpenAI) -> None:
    chat = OpenAIChat(api_key="k", model="m", base_url=server.base_url, breaker=Breaker("m", failures=1, rest_s=0.05))
    server.fails(500)
    with pytest.raises(ModelUnavailable):
        await written(chat)
    await asyncio.sleep(0.05)
    stream = chat.stream(PROMPT)
    await anext(stream)
    await stream.aclose()

    pieces, _ = await written(chat)

    assert "".join(pieces) == "Nine o'clock. [1]"
    await chat.close()
