"""An operator's own questions: CSV with a header, or JSON lines, of `question`, `file`, `text`, `refuse`.

`file` names the document that answers, `text` words that the passage must hold; either will do. With `refuse` nothing
answers the question.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.errors import InvalidRequest
from bot.eval.case import ByFirst, Case
from bot.eval.lines import BadLine, Row, objects_of, records_of, text_in
from bot.services.questions import is_only_a_greeting, require_short
from bot.values import Passage

NAMES = ("question", "file", "text", "refuse")

_YES = {"1", "true", "yes", "x"}
_NO = {"", "0", "false", "no"}


@dataclass(frozen=True, slots=True)
class Expected:
    """A question of an operator's, with what should come of it; the line of the file it stands on."""

    line: int
    question: str
    file: str
    text: str
    refuse: bool

    def is_right(self, passage: Passage) -> bool:
        """Tell whether a passage is what was expected; words whatever the white space and case."""
        is_its_file = not self.file or passage.filename == self.file
        return is_its_file and (not self.text or folded(self.text) in folded(passage.text))

    @property
    def case(self) -> Case:
        """The question as it is run: documents are counted where a file is expected, else passages."""
        if self.refuse:
            return Case(self.question, None)
        whole_files = not self.text
        return Case(
            self.question,
            ByFirst(self.is_right, lambda passage: passage.document_id if whole_files else passage.chunk_id),
        )


def read_questions(path: Path) -> list[Expected]:
    """Read the file. Raises InvalidRequest, for a line that is wrong with its number."""
    found = [_expected(path, line, row) for line, row in _rows(path)]
    if not found:
        raise InvalidRequest(str(path), user_message=f"{path} holds no question.")
    return found


def require_known(path: Path, questions: Collection[Expected], filenames: Collection[str]) -> None:
    """Raise BadLine for a file that isn't among those that may be read: its question could only fail."""
    for expected in questions:
        if expected.file and expected.file not in filenames:
            raise BadLine(path, expected.line, f"there is no document {expected.file} here that you may read.")


def folded(text: str) -> str:
    """Return words as they are compared."""
    return " ".join(text.casefold().split())


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    if path.suffix.lower() in {".jsonl", ".ndjson"}:
        return objects_of(path)
    if path.suffix.lower() == ".csv":
        return records_of(path)
    raise InvalidRequest(str(path), user_message=f"{path} must be .csv or .jsonl.")


def _expected(path: Path, line: int, row: Row) -> Expected:
    try:
        unknown = row.keys() - set(NAMES)
        if unknown:
            raise ValueError(f"{min(unknown)} isn't one of {', '.join(NAMES)}.")  # noqa: TRY301  # one place says the line
        found = Expected(line, text_in(row, "question"), text_in(row, "file"), text_in(row, "text"), _refuses(row))
        _require_sense(found)
    except ValueError as error:
        raise BadLine(path, line, str(error)) from None
    except InvalidRequest as error:
        raise BadLine(path, line, error.user_message) from None
    return found


def _refuses(row: Row) -> bool:
    value = row.get("refuse")
    word = "" if value is None else str(value).strip().lower()
    if word not in _YES | _NO:
        raise ValueError(f"refuse is {word}; it must be yes or no.")
    return word in _YES


def _require_sense(expected: Expected) -> None:
    """Raise ValueError, or InvalidRequest, for what nobody could ask."""
    if is_only_a_greeting(expected.question):
        raise ValueError("it asks nothing: question is empty.")
    require_short(expected.question)
    answered = bool(expected.file or expected.text)
    if answered == expected.refuse:
        raise ValueError("say which file or text answers it, or refuse: one of them.")
