"""What a file was called in a channel that somebody isn't in, by whom and when: that person is shown it nowhere."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from bot.db.engine import Sessions
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from bot.playground.state import Message
from bot.web.server import WebServer
from tests.conftest import TEAM
from tests.slack.acts import HANDBOOK, asked, shared, worked_off
from tests.slack.test_commands import pressed, said

_, WORDS, KIND = HANDBOOK
SECRETLY, OPENLY = ("merger-with-northwind.md", WORDS, KIND), ("rules.md", WORDS, KIND)


def names_nothing_secret(slack: LocalSlack, *shown: Message | str) -> bool:
    """Tell whether nothing shown says how, by whom, where and when the bytes were shared first."""
    secrets = ("northwind", "Ada", "2020", "leads", slack.store.channel("leads").id)
    said = " ".join(each if isinstance(each, str) else f"{words_of(each)} {json.dumps(each.blocks)}" for each in shown)
    return not any(word in said for word in secrets)


@pytest.fixture
async def twice(slack: LocalSlack, bot: WebServer, sessions: Sessions) -> Message:
    """The same bytes: by Ada in the private channel, years ago; by Ben in one where both are. Return Ben's message."""
    await shared(slack, SECRETLY, channel="leads")
    async with sessions.tenant(TEAM) as session:
        for table in ("documents", "document_shares"):
            await session.execute(text(f"UPDATE {table} SET created_at = '2020-05-05T05:05:05Z'"))
    return await shared(slack, OPENLY, channel="handbook", who="Ben")


async def test_a_receipt_and_an_answer_with_its_sources_name_the_share_of_their_channel(
    slack: LocalSlack, twice: Message, sessions: Sessions
) -> None:
    (receipt,) = slack.replies("handbook", twice.ts)
    reply = await asked(slack, "When does the office open?", twice, who="Ada", channel="handbook")
    await worked_off(sessions)

    assert "rules.md" in words_of(receipt)
    assert "eight in the morning" in words_of(reply)
    assert "rules.md" in words_of(reply)
    assert f"p{twice.ts.replace('.', '')}" in json.dumps(reply.blocks), "its link leads to the message that Ben sees"
    assert names_nothing_secret(slack, receipt, reply)


async def test_what_ben_looks_up_tells_of_his_share(slack: LocalSlack, twice: Message) -> None:
    found = await said(slack, "Ben", "/find", "office opens", channel="handbook")
    answered = await said(slack, "Ben", "/ask", "When does the office open?", channel="handbook")
    refusal = await said(slack, "Ben", "/ask", "Which database engine does the Mars rover run?", channel="handbook")
    near = await pressed(slack, "Ben", refusal, "nearest_passages")
    listed = await said(slack, "Ben", "/docs", channel="handbook")
    opened = await pressed(slack, "Ben", listed, "document_show")

    for shown in (words_of(found), words_of(answered), near, words_of(listed) + json.dumps(listed.blocks), opened):
        assert "rules.md" in shown
    assert "shared by Ben" in opened
    assert names_nothing_secret(slack, found, answered, near, listed, opened)


async def test_ben_deletes_what_he_shared_and_ada_keeps_hers(slack: LocalSlack, twice: Message) -> None:
    listed = await said(slack, "Ben", "/docs", channel="handbook")
    opened = await said(slack, "Ben", "/docs", f"delete {_value_of(listed)}", channel="handbook")

    gone = await pressed(slack, "Ben", opened, "document_delete_confirmed")
    left = await said(slack, "Ben", "/docs", channel="handbook")
    hers = await said(slack, "Ada", "/docs", channel="leads")

    assert "rules.md is forgotten" in gone
    assert "Nothing has been shared" in words_of(left)
    assert names_nothing_secret(slack, opened, gone, left)
    assert "merger-with-northwind.md" in json.dumps(hers.blocks)


def _value_of(listed: Message) -> str:
    (value,) = [block["accessory"]["value"] for block in listed.blocks if "accessory" in block]
    return str(value)
