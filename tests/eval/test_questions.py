"""An operator's questions are read as they are meant, and what is wrong with them is said with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import InvalidRequest
from bot.eval.questions import read_questions, require_known
from bot.values import Passage, new_id
from tests.eval.conftest import write_lines


def passage(text: str, *, filename: str = "handbook.md") -> Passage:
    return Passage(new_id(), new_id(), filename, text, 0, len(text), None, None, 0.5, 0.5, 0.5)


def test_csv_and_json_lines_say_the_same(tmp_path: Path) -> None:
    table = write_lines(
        tmp_path / "q.csv",
        ["question,file,text,refuse", '"When, then?",handbook.md,"at eight",', "Who knows?,,,yes"],
    )
    lines = write_lines(
        tmp_path / "q.jsonl",
        [
            '{"question": "When, then?", "file": "handbook.md", "text": "at eight"}',
            '{"question": "Who knows?", "refuse": true}',
        ],
    )

    read = [[(one.question, one.file, one.text, one.refuse) for one in read_questions(path)] for path in (table, lines)]

    assert read[0] == read[1] == [("When, then?", "handbook.md", "at eight", False), ("Who knows?", "", "", True)]


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("q.csv", "When?,handbook.md,,", None),
        ("q.csv", ",handbook.md,,", "q.csv, line 2: it asks nothing: question is empty."),
        ("q.csv", "When?,,,", "q.csv, line 2: say which file or text answers it, or refuse: one of them."),
        ("q.csv", "When?,handbook.md,,yes", "q.csv, line 2: say which file or text answers it, or refuse"),
        ("q.csv", "When?,,,perhaps", "q.csv, line 2: refuse is perhaps; it must be yes or no."),
        ("q.csv", "When?,a,b,no,c", "q.csv, line 2: it has more columns than the header."),
        ("q.csv", f"{'x' * 9000},a,,", "q.csv, line 2: That is too long for a question"),
        ("q.jsonl", '{"question": "When?", "answer": "x"}', "q.jsonl, line 1: answer isn't one of question, file"),
        ("q.jsonl", '{"question": ["When?"], "file": "x"}', "q.jsonl, line 1: question must be text."),
        ("q.jsonl", "When?", "q.jsonl, line 1: it isn't JSON."),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, name: str, line: str, said: str | None) -> None:
    header = ["question,file,text,refuse"] if name.endswith("csv") else []
    path = write_lines(tmp_path / name, [*header, line])

    if said is None:
        assert len(read_questions(path)) == 1
        return
    with pytest.raises(InvalidRequest) as refused:
        read_questions(path)

    assert said in refused.value.user_message


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("q.csv", b"question,file\n", "holds no question"),
        ("q.csv", b"\xff\xfe\x00", "isn't text in UTF-8"),
        ("q.txt", b"When?", "must be .csv or .jsonl"),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InvalidRequest) as refused:
        read_questions(tmp_path / name)

    assert said in refused.value.user_message


def test_a_document_nobody_can_read_is_named_with_its_line(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "q.csv", ["question,file", "When?,handbook.md", "Who?,hand-book.md"])

    with pytest.raises(InvalidRequest) as refused:
        require_known(path, read_questions(path), {"handbook.md"})

    assert "q.csv, line 3: there is no document hand-book.md here" in refused.value.user_message


def test_words_are_found_whatever_the_case_and_white_space(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "q.csv", ["question,file,text", "When?,handbook.md,at eight"])
    (expected,) = read_questions(path)

    assert expected.is_right(passage("It opens At\n eight."))
    assert not expected.is_right(passage("It opens at nine."))
    assert not expected.is_right(passage("It opens at eight.", filename="other.md"))


def test_a_file_is_ranked_among_documents_and_words_among_passages(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "q.csv", ["question,file,text", "When?,b.md,", "When?,,at eight"])
    by_file, by_text = (one.case.judge for one in read_questions(path))
    first, again = passage("x", filename="a.md"), passage("y", filename="a.md")
    again = Passage(
        again.chunk_id, first.document_id, *[getattr(again, n) for n in list(Passage.__dataclass_fields__)[2:]]
    )
    found = [first, again, passage("at eight", filename="b.md"), passage("at eight, too", filename="c.md")]

    assert by_file is not None
    assert by_text is not None
    assert by_file.rank(found).gains == (0, 1, 0)  # a.md counts once
    assert by_text.rank(found).gains == (0, 0, 1, 0)  # the first that is right, and no other
