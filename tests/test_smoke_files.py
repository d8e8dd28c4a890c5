"""The documents and questions that `bot smoke` brings along are fit to say whether the main job works."""

import tomllib
from collections import Counter
from pathlib import Path

import pytest

from bot.parsing.sandbox import parse_in_sandbox
from bot.smoke import Case, shipped_cases

FOLDER = Path(__file__).parents[1] / "bot/smoke_files"
CASES = shipped_cases()
TURNS = [turn for case in CASES for turn in case.turns]


def folded(text: str) -> str:
    return " ".join(text.split()).casefold()


async def text_of(case: Case) -> str:
    documents = [await parse_in_sandbox(file.read_bytes(), file.name) for file in case.files]
    return folded("\n".join(document.text for document in documents))


def test_three_documents_in_three_formats_come_along_and_each_is_asked_about() -> None:
    shipped = {file for file in FOLDER.iterdir() if file.suffix != ".toml"}

    assert len(shipped) >= 3
    assert all(count == 1 for count in Counter(file.suffix for file in shipped).values())
    assert {file for case in CASES for file in case.files} == shipped


async def test_documents_with_numbered_pages_have_five_or_more() -> None:
    for name in ("brackwater-handbook.pdf", "heron-3-briefing.pptx"):
        document = await parse_in_sandbox((FOLDER / name).read_bytes(), name)

        assert len(document.pages) >= 5, name


async def test_the_document_without_page_numbers_fills_five_pages_too() -> None:
    name = "heron-cloud-runbook.docx"

    document = await parse_in_sandbox((FOLDER / name).read_bytes(), name)

    assert document.text.count("\n# ") >= 5  # each chapter begins a page


def test_there_are_enough_questions_and_enough_that_have_no_answer() -> None:
    refused = [turn for turn in TURNS if turn.expect is None]

    assert len(TURNS) >= 14
    assert len(refused) >= 4


def test_each_question_says_whether_it_has_an_answer() -> None:
    written = tomllib.loads((FOLDER / "questions.toml").read_text())

    for turn in (turn for conversation in written["conversation"] for turn in conversation["turn"]):
        assert ("expect" in turn) != turn.get("refuse", False), turn


def test_two_questions_or_more_need_the_thread() -> None:
    follow_ups = [turn for case in CASES for turn in case.turns[1:] if turn.ask.startswith("And ")]

    assert len(follow_ups) >= 2


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.files[0].name)
async def test_every_expected_word_stands_in_the_documents_of_its_thread(case: Case) -> None:
    text = await text_of(case)

    missing = [turn.expect for turn in case.turns if turn.expect is not None and folded(turn.expect) not in text]
    assert missing == []


def test_no_question_gives_its_own_answer_away() -> None:
    told = [turn.ask for turn in TURNS if turn.expect is not None and folded(turn.expect) in folded(turn.ask)]

    assert told == []


def test_no_code_knows_the_questions_or_their_company() -> None:
    code = folded("\n".join(file.read_text() for file in FOLDER.parent.rglob("*.py")))

    known = [turn.ask for turn in TURNS if folded(turn.ask) in code]
    assert known == []
    assert "brackwater" not in code
