"""Reading files that people made, line by line: what is wrong is said with the line it stands on."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bot.errors import InvalidRequest

Row = dict[str, Any]


class BadLine(InvalidRequest):
    """A line that isn't what it should be."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{path.name}:{line}", user_message=f"{path}, line {line}: {problem}")


def text_of(path: Path) -> str:
    """Return a text file's content. Raises InvalidRequest."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InvalidRequest(str(path), user_message=f"There is no file {path}.") from None
    except UnicodeDecodeError:
        raise InvalidRequest(str(path), user_message=f"{path} isn't text in UTF-8.") from None
    except OSError as error:
        raise InvalidRequest(str(path), user_message=f"{path} can't be read ({error.strerror}).") from error


def objects_of(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield each line's number and JSON object; empty lines are left out. Raises InvalidRequest, BadLine."""
    for number, line in enumerate(text_of(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError:
            raise BadLine(path, number, "it isn't JSON.") from None
        if not isinstance(found, dict):
            raise BadLine(path, number, "it is no JSON object ({…}).")
        yield number, found


def records_of(path: Path, *, tabs: bool = False) -> Iterator[tuple[int, Row]]:
    """Yield each record of a table with its first line as header, by the number of the line it ends on.

    Raises InvalidRequest, and BadLine for records longer than the header.
    """
    lines = io.StringIO(text_of(path), newline="")
    reader = csv.DictReader(lines, dialect=_Tabs if tabs else _Commas)
    try:
        for record in reader:
            if None in record:
                raise BadLine(path, reader.line_num, "it has more columns than the header.")
            yield reader.line_num, {name.strip(): value for name, value in record.items()}
    except csv.Error as error:
        raise BadLine(path, reader.line_num, f"it isn't a table's row ({error}).") from None


class _Commas(csv.excel):
    strict = True


class _Tabs(_Commas):
    """As trec_eval and BEIR write them: a quote is a character like others."""

    delimiter = "\t"
    quoting = csv.QUOTE_NONE


def text_in(row: Row, name: str) -> str:
    """Return a text of a row without white space around it; "" when it isn't there. Raises ValueError with a sentence."""
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text.")  # noqa: TRY004  # of what a person wrote, as others
    return value.strip()
