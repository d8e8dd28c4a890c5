from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from bot.db.engine import Sessions
from tests.conftest import TEAM
from tests.web.conftest import HANDBOOK, Api


async def test_a_search_returns_passages_of_what_the_key_may_read(api: Api) -> None:
    mine, theirs = await api.key("ada"), await api.key("grace")
    document = (await api.upload(mine, "handbook.md", HANDBOOK)).body

    found = (await api.call("POST", "/v1/search", mine, json={"query": "How many days of holiday?"})).body["passages"]
    hidden = (await api.call("POST", "/v1/search", theirs, json={"query": "How many days of holiday?"})).body

    assert found[0]["document_id"] == document["id"]
    assert found[0]["text"] in HANDBOOK.decode()
    assert HANDBOOK.decode()[found[0]["char_start"] : found[0]["char_end"]] == found[0]["text"]
    assert hidden == {"passages": []}


async def test_a_search_keeps_to_the_documents_it_names_and_to_its_limit(api: Api) -> None:
    key = await api.key()
    await api.upload(key, "handbook.md", HANDBOOK)
    other = (await api.upload(key, "other.md", HANDBOOK.replace(b"twenty-seven", b"thirty"))).body
    query = {"query": "days of holiday"}

    within = (await api.call("POST", "/v1/search", key, json={**query, "document_ids": [other["id"]]})).body["passages"]
    one = (await api.call("POST", "/v1/search", key, json={**query, "limit": 1})).body["passages"]

    assert {passage["document_id"] for passage in within} == {other["id"]}
    assert len(one) == 1


async def test_an_answer_quotes_the_words_it_relies_on(api: Api) -> None:
    key = await api.key()
    document = (await api.upload(key, "handbook.md", HANDBOOK)).body

    reply = await api.call("POST", "/v1/ask", key, json={"question": "How many days of holiday do employees have?"})

    assert reply.status == 200
    assert reply.body["found"] is True
    assert "twenty-seven" in reply.body["answer"]
    citation = reply.body["citations"][0]
    assert citation["number"] == 1
    assert citation["document_id"] == document["id"]
    assert "twenty-seven days" in citation["quote"]
    assert HANDBOOK.decode()[citation["char_start"] : citation["char_end"]] == citation["quote"]
    assert reply.body["usage"]["prompt_tokens"] > 0


async def test_a_question_without_an_answer_finds_nothing(api: Api) -> None:
    key = await api.key()
    await api.upload(key, "handbook.md", HANDBOOK)

    reply = await api.call("POST", "/v1/ask", key, json={"question": "Who won the chess championship in 1972?"})

    assert reply.status == 200
    assert (reply.body["found"], reply.body["citations"]) == (False, [])


async def test_a_question_asked_past_slack_is_stored_like_any_other(api: Api, sessions: Sessions) -> None:
    key, ada = await api.key(), await api.account("ada")
    await api.upload(key, "handbook.md", HANDBOOK)

    questions = ["How many days of holiday do employees have?"] * 3
    await asyncio.gather(*(api.call("POST", "/v1/ask", key, json={"question": asked}) for asked in questions))

    async with sessions.tenant(TEAM) as session:
        rows = (
            await session.execute(
                text("""
                    SELECT c.channel_id, c.started_by, m.role, m.content, m.author_id, m.reply_to = c.thread_ts AS replies,
                           jsonb_array_length(m.sources) AS sources
                      FROM conversations c JOIN messages m ON m.conversation_id = c.id ORDER BY c.id, m.id
                """)
            )
        ).all()
        used = (await session.execute(text("SELECT user_id FROM usage_events"))).scalars().all()
    assert [row.role for row in rows] == ["user", "assistant"] * 3
    assert {row.channel_id for row in rows} == {f"personal:{ada.id}"}
    assert {row.started_by for row in rows} == {ada.id}
    assert (rows[0].content, rows[0].author_id, rows[0].sources) == (questions[0], ada.id, 0)
    assert rows[1].replies
    assert rows[1].sources >= 1
    assert used == [ada.id] * 3


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("", "question"),
        ("   ", "question"),
        (":wave: :smile:", "question"),
        ("?!", "question"),
        ("a " * 20_000, "8,000"),
    ],
)
async def test_what_is_no_question_is_refused_in_words(api: Api, question: str, word: str) -> None:
    reply = await api.call("POST", "/v1/ask", await api.key(), json={"question": question})

    assert reply.status == 400
    assert word in reply.body["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/ask", {"question": "When\0 do we open?"}),
        ("/v1/search", {"query": "When\0 do we open?"}),
        ("/v1/search", {"query": "?!"}),
        ("/v1/search", {"query": "📎 資料 \N{RIGHT-TO-LEFT OVERRIDE}"}),
    ],
)
async def test_odd_characters_do_no_harm(api: Api, path: str, body: dict[str, Any]) -> None:
    key = await api.key()
    await api.upload(key, "handbook.md", HANDBOOK)

    reply = await api.call("POST", path, key, json=body)

    assert reply.status == 200


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "query"),
        ({"query": ""}, "query"),
        ({"query": "x" * 8_001}, "query"),
        ({"query": "x", "limit": 0}, "limit"),
        ({"query": "x", "limit": "5"}, "limit"),
        ({"query": "x", "document_ids": ["x"]}, "document_ids"),
        ({"query": "x", "document_ids": []}, "document_ids"),
        ({"query": "x", "channel": "C1"}, "channel"),
    ],
)
async def test_a_search_that_makes_no_sense_is_refused_by_field(api: Api, body: dict[str, Any], word: str) -> None:
    reply = await api.call("POST", "/v1/search", await api.key(), json=body)

    assert reply.status == 400
    assert word in reply.body["message"]
