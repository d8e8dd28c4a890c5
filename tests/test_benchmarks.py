"""The benchmarks run, in small, on a real database; and their limits can be missed."""

from __future__ import annotations

import math

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks import __main__ as command
from benchmarks import ingest, memory, rows, search, server, walls
from benchmarks.pdf import pdf_of
from benchmarks.place import Place
from benchmarks.result import Measure, last_line, page
from bot.db.engine import Sessions
from bot.parsing.sandbox import parse_in_sandbox
from tests.conftest import Database

KEPT = Measure("recall", "Recall", 1.0, at_least=1.0)
MISSED = Measure("first_text_ms", "First text", 412.3, "ms", at_most=300)


@pytest.fixture
def place(database: Database, engine: AsyncEngine) -> Place:
    return Place(engine, Sessions(engine), database.owner_url)


async def test_each_way_of_storing_is_measured_and_copy_is_closed_to_the_bot(place: Place) -> None:
    measures = {measure.name: measure for measure in await ingest.measure(place, runs=1, sizes=(12, 30))}

    assert measures["copy_refused"].value == 1
    assert all(measures[name].value > 0 for name in ("ingest_of_copy", "ingest_of_packed_copy", "ingest_of_orm"))


async def test_search_finds_what_brute_force_finds(place: Place) -> None:
    measures = {measure.name: measure for measure in await search.measure(place, chunks=2_000, queries=3)}

    assert measures["search_recall"].value == measures["search_many_recall"].value == 1
    assert measures["cosine_plan"].holds


async def test_a_search_behind_the_walls_is_set_beside_one_without(place: Place) -> None:
    shape = walls.Shape("small_", "documents of 10 chunks", 10)

    measures = await walls.measure(place, shape, chunks=300, visible=(50, 100), queries=3)

    assert [measure.name for measure in measures] == ["walls_small_50", "walls_small_100"]
    assert all(measure.value > 0 and measure.at_most == 1.5 for measure in measures)


async def test_two_thousand_pages_take_little_more_memory_than_twenty(place: Place) -> None:
    await rows.prepare_team(place)

    measures = {measure.name: measure for measure in await memory.measure(place, pages=(20, 2_000))}

    assert [name for name, measure in measures.items() if not measure.holds] == []
    assert set(measures) == {"pages_20_mb", "pages_20_child_mb", "pages_2000_mb", "pages_2000_child_mb"}


async def test_the_made_up_pdf_can_be_read() -> None:
    data = pdf_of(pages=3, size=50_000)

    parsed = await parse_in_sandbox(data, "made-up.pdf")

    assert len(data) >= 50_000
    assert len(parsed.pages) == 3


@pytest.mark.parametrize(
    ("measure", "holds"),
    [
        (KEPT, True),
        (MISSED, False),
        (Measure("ratio", "Ratio", 0.79, at_least=0.8), False),
        (Measure("ratio", "Ratio", math.nan, at_most=3), False),
        (Measure("ratio", "For information", 0.1), True),
    ],
)
def test_a_limit_is_kept_or_missed(measure: Measure, *, holds: bool) -> None:
    assert measure.holds is holds


def test_the_last_line_says_failed_when_one_limit_is_missed() -> None:
    assert last_line([KEPT]) == "bench: ok recall=1.00"
    assert last_line([KEPT, MISSED]) == "bench: failed recall=1.00 first_text_ms=412"
    assert last_line([]).startswith("bench: failed")


def test_the_page_says_what_was_run_and_what_was_missed() -> None:
    written = page([KEPT, MISSED], command="make bench")

    assert "Written by `make bench`" in written
    assert "| First text | 412 ms | ≤ 300 | missed |  |" in written


@pytest.mark.parametrize(("measure", "code"), [(KEPT, 0), (MISSED, 1)])
def test_the_command_fails_with_its_limits(
    measure: Measure, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "measure", lambda runs: [measure])

    assert command.main(["--only", "server"]) == code

    assert capsys.readouterr().out.splitlines()[-1] == last_line([measure])
