"""All hostile files, and a choice among them that leaves no kind out."""

from __future__ import annotations

import random
from collections.abc import Collection
from functools import cache

from tests.attacks import hostile_office, hostile_pdf, hostile_plain, taken_over
from tests.attacks.hostile import HostileFile


@cache
def every_file() -> tuple[HostileFile, ...]:
    """Return all of them, those that are only opened first, then those that take their parser over."""
    return (*hostile_pdf.files(), *hostile_office.files(), *hostile_plain.files(), *taken_over.files())


def some_files(count: int, dice: random.Random, *, whole: Collection[str]) -> list[HostileFile]:
    """Return about so many: of each category at least one, and all of the categories named in `whole`."""
    by_category: dict[str, list[HostileFile]] = {}
    for file in dice.sample(every := every_file(), len(every)):
        by_category.setdefault(file.category, []).append(file)
    chosen = [file for category in whole for file in by_category.pop(category)]
    while any(by_category.values()):
        chosen += [files.pop() for files in by_category.values() if files]
        if len(chosen) >= count:
            break
    return chosen
