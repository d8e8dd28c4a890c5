"""The files are many, all different and of every kind; and what may not happen makes its figure miss its limit."""

from __future__ import annotations

import random
import zlib
from dataclasses import fields
from pathlib import Path

import pytest

from tests.attacks.canary import canary
from tests.attacks.hostile import Traps, squeezed
from tests.attacks.hostile_files import every_file, some_files
from tests.attacks.hostile_zip import member, zip_of
from tests.attacks.t10_hostile_files import SABOTAGES, SIZES, Seen, Size, evidence_of, figures_of
from tests.faults.report import Scale

CATEGORIES = {
    *("pdf loop", "pdf bomb", "pdf nesting", "pdf trap", "truncated", "encrypted", "damaged", "zip bomb", "entities"),
    *("links outwards", "xml nesting", "zip nesting", "zip paths", "zip lies", "sheet", "old office", "macros", "html"),
    *("data", "markdown", "table", "mail", "characters", "archive", "two at once", "lying type", "name"),
    *("takes over, reaches out", "takes over, wastes"),
}
FULL = SIZES[Scale.FULL]


def seen(**more: object) -> Seen:
    """Return what a run sees in which nothing is wrong, but for `more`."""
    good = Seen(files=[str(n) for n in range(FULL.least)], good_before_s=[0.1] * 20, good_after_s=[0.1] * 20)
    for name, value in more.items():
        setattr(good, name, value)
    return good


def missed(what: Seen, size: Size = FULL) -> set[str]:
    return {figure.name for figure in figures_of(what, size) if not figure.holds}


def test_there_are_many_files_all_different_and_of_every_kind() -> None:
    files = every_file()
    traps = Traps(1, Path("/outside"), "secret")

    assert len(files) >= FULL.least
    assert len({file.name for file in files}) == len(files)
    assert len({(file.make(traps), file.filename if file.category == "name" else "") for file in files}) == len(files)
    assert {file.category for file in files} == CATEGORIES
    assert sum(file.refused for file in files) > 40


@pytest.mark.parametrize("scale", [Scale.QUICK, Scale.SELFTEST])
def test_a_choice_leaves_no_kind_out(scale: Scale) -> None:
    size = SIZES[scale]

    chosen = some_files(size.files or 0, random.Random(1), whole=size.whole)

    assert len({file.name for file in chosen}) == len(chosen) >= size.least
    assert {file.category for file in chosen} == CATEGORIES


def test_nothing_wrong_misses_nothing() -> None:
    assert missed(seen()) == set()
    assert evidence_of(seen()) == []


@pytest.mark.parametrize(
    "name",
    [
        each.name
        for each in fields(Seen)
        if each.name
        not in {"files", "read", "reasons", "seconds", "good_before_s", "good_after_s", "growth_mb", "child_peak_mb"}
    ],
)
def test_each_thing_that_may_not_happen_misses_its_limit_and_is_named(name: str) -> None:
    assert missed(seen(**{name: ["what it was"]})) == {name}
    assert len(evidence_of(seen(**{name: ["what it was"]}))) == 1


def test_too_few_files_too_much_memory_and_slow_good_files_miss_their_limits() -> None:
    assert missed(seen(files=["one"])) == {"files"}
    assert missed(seen(growth_mb=101.0)) == {"growth_mb"}
    assert missed(seen(child_peak_mb=700.0)) == {"child_peak_mb"}
    assert missed(seen(good_after_s=[0.3] * 20)) == {"good_slower"}
    assert "good_slower" in missed(seen(good_after_s=[]))


def test_every_control_has_its_figure() -> None:
    assert set(SABOTAGES.values()) <= {figure.name for figure in figures_of(seen(), FULL)}


async def test_the_canary_knows_what_reached_it() -> None:
    async with canary() as watched:
        assert watched.written() == []
        (watched.outside / "planted").write_text("x")
        watched.traps.kept.write_text("spoilt")

        assert len(watched.written()) == 2
        assert watched.written() == []
        assert watched.traps.kept.read_text() == watched.mark


def test_what_is_squeezed_is_what_it_says() -> None:
    assert zlib.decompress(squeezed(b"abc" * 100, 5).zlib) == b"abc" * 500
    assert zlib.decompress(squeezed(b"abc" * 100, 5).gzip, 31) == b"abc" * 500
    assert zip_of([member("a", b"b")]).startswith(b"PK\x03\x04")
