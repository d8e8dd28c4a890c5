"""Everything the bot sends to Slack, and Slack to it, in a session that uses it all, is of Slack's own types."""

from __future__ import annotations

from pathlib import Path

from bot.playground.local import LocalSlack
from bot.smoke import quoted_words
from bot.web.server import WebServer
from tests.contracts import Contracts
from tests.slack.acts import HANDBOOK, asked, calls_of, note, shared


async def test_a_whole_session_keeps_to_slacks_schemas(slack: LocalSlack, bot: WebServer, shared_folder: Path) -> None:
    contracts = Contracts(shared_folder)
    slack.open_app("Ada")
    root = await shared(slack, HANDBOOK, note("empty.txt", ""))
    await asked(slack, "When does the office open?", root)
    refusal = await asked(slack, "Which database engine does the Mars rover run?", root)
    pressed_at = await slack.click("Ben", refusal, "nearest_passages")
    await slack.wait_for_ephemeral("Ben", "general", after=pressed_at)
    for command, text in (
        ("/ask", "When does the office open?"),
        ("/find", "holiday"),
        ("/docs", "list"),
        ("/docs", "help"),
    ):
        at = await slack.command("Ada", "general", command, text)
        await slack.wait_for_ephemeral("Ada", "general", after=at, until=lambda m: m.text != "Looking …")
    slack.disable("chat.startStream")
    question = await slack.mention("Ada", "general", "How many days of holiday?", files=[HANDBOOK])
    await slack.wait_for_reply("general", question.ts, until=lambda m: bool(quoted_words(m)), timeout=20)
    slack.change_user("Ben", is_admin=True)
    await slack.edit(question, "Never mind")
    await slack.delete_file(root.file_ids[0])
    await slack.settle()

    contracts.check_all(slack.events, slack.calls)
    for message in slack.store.ephemerals.values():
        if message.blocks:
            contracts.check_blocks(message.blocks, "an ephemeral message")

    assert calls_of(slack, "chat.update")
    assert calls_of(slack, "assistant.threads.setSuggestedPrompts")
    print(contracts.report())  # noqa: T201  # what nothing could be checked against is said aloud
