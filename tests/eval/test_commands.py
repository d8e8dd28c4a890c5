"""`bot eval` as a person runs it, in a process of its own on a real database."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from tests.cli import run_bot, start_bot, urls
from tests.conftest import Database
from tests.eval.conftest import evaluations_left, rows_by_table, write_lines, write_set

HANDBOOK = "The office opens at eight in the morning and closes at six."
NOTES = "The canteen serves tomato soup every Monday."
QUESTIONS = [
    "question,file,text,refuse",
    "When does the office open?,handbook.txt,at eight,",
    "When is there tomato soup?,notes.txt,,",
    "Who invented the telescope?,,,yes",
]


async def test_a_set_is_evaluated_shown_and_drawn(tmp_path: Path, database: Database, tiny: Path) -> None:
    plot = tmp_path / "plot.svg"

    outcome = await run_bot(
        *("eval", "beir", str(tiny), "--plot", str(plot), "--at-least", "ndcg@10=.99,quotes=1"),
        cwd=tmp_path,
        **urls(database),
    )

    assert (outcome.code, outcome.err) == (0, "")
    assert "tiny: 6 documents, 1 unread, 5 questions, 3 of them answerable" in outcome.out
    assert [word for word in ("dense", "lexical", "hybrid", "ndcg@10", "1.000") if word not in outcome.out] == []
    assert plot.read_text().startswith("<svg")
    assert await evaluations_left(database) == {}


async def test_json_is_one_object_and_a_missed_threshold_ends_with_1(tmp_path: Path, database: Database) -> None:
    wrong = write_set(tmp_path / "wrong", qrels=[("q1", "rent", 1), ("q2", "gate", 1), ("q3", "fish", 1)])

    outcome = await run_bot(
        *("eval", "beir", str(wrong), "--json", "--no-answers", "--at-least", "mrr@10=1"),
        cwd=tmp_path,
        **urls(database),
    )

    figures = json.loads(outcome.out)["figures"]
    assert outcome.code == 1
    assert figures["mrr@10"] < 1
    assert "quotes" not in figures
    assert "mrr@10 is " in outcome.err
    assert "below 1." in outcome.err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_nothing_is_left_after_a_signal(tmp_path: Path, database: Database, how: signal.Signals) -> None:
    many = [{"_id": f"d{number}", "title": "", "text": f"Note {number} is about gates."} for number in range(500)]
    folder = write_set(tmp_path / "many", corpus=many)
    process = await start_bot("eval", "beir", str(folder), cwd=tmp_path, **urls(database))
    async with asyncio.timeout(60):
        while "document_chunks" not in await evaluations_left(database):  # another process writes
            await asyncio.sleep(0.1)

    process.send_signal(how)
    _, err = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == 130
    assert b"Traceback" not in err
    assert await evaluations_left(database) == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("beir", "nowhere"), "There is no folder nowhere."),
        (("beir", "nowhere", "--at-least", "ndcg=1"), "ndcg is no figure to hold to."),
        (("questions", "nowhere.csv"), "There is no file nowhere.csv."),
        (("calibrate", "nowhere.csv"), "There is no file nowhere.csv."),
    ],
)
async def test_what_isnt_there_is_told_in_a_sentence(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    outcome = await run_bot("eval", *arguments, cwd=tmp_path, DATABASE_URL="postgresql://x:y@127.0.0.1:1/x")

    assert outcome.code == 1
    assert said in outcome.err
    assert "Traceback" not in outcome.err


@pytest.fixture
async def stocked(tmp_path: Path, database: Database) -> Path:
    """Two documents of the operator's own; return the folder."""
    for name, text in (("handbook.txt", HANDBOOK), ("notes.txt", NOTES)):
        (tmp_path / name).write_text(text)
    outcome = await run_bot("ingest", "handbook.txt", "notes.txt", cwd=tmp_path, **urls(database))
    assert outcome.code == 0, outcome.err
    return tmp_path


async def test_an_operators_questions_are_asked_and_only_what_they_cost_is_kept(
    stocked: Path, database: Database
) -> None:
    write_lines(stocked / "q.csv", QUESTIONS)
    before = await rows_by_table(database)

    outcome = await run_bot("eval", "questions", "q.csv", "--json", cwd=stocked, **urls(database))

    figures = json.loads(outcome.out)["figures"]
    assert (outcome.code, outcome.err) == (0, "")
    assert figures["mrr@10"] == figures["answered"] == figures["refusal.recall"] == figures["quotes"] == 1
    after = await rows_by_table(database)
    assert after.pop("usage_events") == 2  # the third found nothing to show the answerer
    assert after == before


async def test_a_channel_that_isnt_known_and_a_document_that_isnt_there_are_named(
    stocked: Path, database: Database
) -> None:
    write_lines(stocked / "q.csv", [*QUESTIONS, "When?,other.txt,,"])

    channel = await run_bot("eval", "questions", "q.csv", "--channel", "C9", cwd=stocked, **urls(database))
    document = await run_bot("eval", "questions", "q.csv", cwd=stocked, **urls(database))

    assert "I don't know a channel C9" in channel.err
    assert "q.csv, line 5: there is no document other.txt here that you may read." in document.err
    assert (channel.code, document.code) == (1, 1)


async def test_calibration_says_what_to_set(stocked: Path, database: Database) -> None:
    write_lines(stocked / "q.csv", QUESTIONS)

    shown = await run_bot("eval", "calibrate", "q.csv", cwd=stocked, **urls(database), BLEND_WEIGHT="0.33")
    read = await run_bot("eval", "calibrate", "q.csv", "--json", cwd=stocked, **urls(database))

    found = json.loads(read.out)
    assert (shown.code, shown.err) == (0, "")
    assert "Set BLEND_WEIGHT=0.33 and RELEVANCE_FLOOR=0." in shown.out  # every weight finds all: nothing is won
    assert found["choice"]["weight"] == 0.5
    assert (found["held_out"]["ndcg"], found["folds"], len(found["grid"])) == (1, 2, 21)
