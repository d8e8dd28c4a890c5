from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import InvalidRequest
from bot.smoke import Case, Turn
from bot.smoke_arguments import cases_from


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c"):
        Path(name).touch()


@pytest.mark.usefixtures("files")
def test_each_question_belongs_to_the_files_before_it() -> None:
    words = "--file a --file b --ask Why? --expect because --ask Who? --file c --ask=When? --expect=at=noon"

    cases = cases_from(words.split())

    assert cases == [
        Case((Path("a"), Path("b")), (Turn("Why?", "because"), Turn("Who?", None))),
        Case((Path("c"),), (Turn("When?", "at=noon"),)),
    ]


def test_without_arguments_the_shipped_cases_are_run() -> None:
    cases = cases_from([])

    turns = [turn for case in cases for turn in case.turns]
    assert len({file for case in cases for file in case.files}) >= 3
    assert all(file.is_file() for case in cases for file in case.files)
    assert len(turns) >= 12
    assert sum(turn.expect is None for turn in turns) >= 3


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--ask Why?", "--ask comes after the --file"),
        ("--expect x", "--expect comes after the --file"),
        ("--file a", "The last --file has no --ask"),
        ("--file a --ask Why? --file b", "The last --file has no --ask"),
        ("--file a --expect x", "Each --expect follows"),
        ("--file a --ask Why? --expect x --expect y", "Each --expect follows"),
        ("--file a --ask", "--ask has nothing after it"),
        ("--file nowhere --ask Why?", "There is no file nowhere"),
        ("--fiel a", "--fiel is unknown"),
        ("a --ask Why?", "a is unknown"),
    ],
)
def test_anything_else_is_refused_with_the_usage(words: str, complaint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        cases_from(words.split())

    assert complaint in caught.value.user_message
    assert "Usage: bot smoke" in caught.value.user_message
