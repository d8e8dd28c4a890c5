"""A set in BEIR's layout is read as it is meant, and what is wrong with it is said with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import InvalidRequest
from bot.eval.beir import read_beir
from tests.eval.conftest import CORPUS, QUERIES, write_lines, write_set


def test_a_set_is_read_with_what_is_relevant_to_each_query(tiny: Path) -> None:
    found = read_beir(tiny)

    assert [document.id for document in found.documents] == [row["_id"] for row in CORPUS]
    assert {query.id: query.gains for query in found.queries} == {
        "q1": {"gate": 2},
        "q2": {"soup": 1, "copy": 1},
        "q3": {"rent": 1},
        "q4": {},  # judged, and nothing is relevant
        "q5": {},  # says so itself
    }


def test_what_is_marked_as_unanswerable_is_so_whatever_the_judgements_say(tmp_path: Path) -> None:
    marked = [{"_id": "q1", "text": "When is the gate locked?", "refuse": True}]

    (query,) = read_beir(write_set(tmp_path, queries=marked)).queries

    assert query.gains == {}


def test_a_document_that_isnt_in_the_corpus_answers_nothing(tmp_path: Path) -> None:
    (query,) = read_beir(write_set(tmp_path, queries=QUERIES[:1], qrels=[("q1", "elsewhere", 1)])).queries

    assert query.gains == {}


def test_queries_of_another_split_alone_are_left_out_and_counted(tiny: Path) -> None:
    write_lines(tiny / "qrels" / "train.tsv", ["query-id\tcorpus-id\tscore", "q9\tgate\t1"])
    with (tiny / "queries.jsonl").open("a") as queries:
        queries.write('{"_id": "q9", "text": "Is there a gate?"}\n')

    test, train = read_beir(tiny), read_beir(tiny, split="train")

    assert ([query.id for query in test.queries], test.unjudged) == (["q1", "q2", "q3", "q4", "q5"], 1)
    assert [query.id for query in train.queries if query.gains] == ["q9"]


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("corpus.jsonl", "{_id: 1}", "corpus.jsonl, line 7: it isn't JSON."),
        ("corpus.jsonl", "[1]", "corpus.jsonl, line 7: it is no JSON object"),
        ("corpus.jsonl", '{"text": "x"}', "corpus.jsonl, line 7: it has no _id."),
        ("corpus.jsonl", '{"_id": "gate", "text": "x"}', "corpus.jsonl, line 7: the _id gate is there twice."),
        ("corpus.jsonl", '{"_id": "x", "text": 5}', "corpus.jsonl, line 7: text must be text."),
        ("queries.jsonl", '{"_id": "q6", "text": " "}', "queries.jsonl, line 6: it has no text."),
        ("qrels/test.tsv", "q1\tgate\tmuch", "test.tsv, line 7: the score much is no whole number."),
        ("qrels/test.tsv", "q1\tgate\t0.5", "test.tsv, line 7: the score 0.5 is no whole number."),
        ("qrels/test.tsv", "q1\tgate\tinf", "test.tsv, line 7: the score inf is no whole number."),
        ("qrels/test.tsv", "q1\tgate", "test.tsv, line 7: the score None is no whole number."),
        ("qrels/test.tsv", "q1\tgate\t1\t0", "test.tsv, line 7: it has more columns than the header."),
    ],
)
def test_a_bad_line_is_named(tiny: Path, name: str, line: str, said: str) -> None:
    with (tiny / name).open("a") as file:
        file.write(f"{line}\n")

    with pytest.raises(InvalidRequest) as refused:
        read_beir(tiny)

    assert said in refused.value.user_message


def test_a_score_may_be_written_with_a_point(tmp_path: Path) -> None:
    (query,) = read_beir(write_set(tmp_path, queries=QUERIES[:1], qrels=[("q1", "gate", "2.0")])).queries

    assert query.gains == {"gate": 2}


def test_a_quote_in_the_judgements_is_a_character_like_others(tmp_path: Path) -> None:
    corpus = [{"_id": 'a"b', "title": "", "text": "x"}]

    (query,) = read_beir(write_set(tmp_path, corpus=corpus, queries=QUERIES[:1], qrels=[("q1", 'a"b', 1)])).queries

    assert query.gains == {'a"b': 1}


def test_a_header_that_is_missing_is_named(tiny: Path) -> None:
    write_lines(tiny / "qrels" / "test.tsv", ["q1\tgate\t1", "q2\tsoup\t1"])

    with pytest.raises(InvalidRequest) as refused:
        read_beir(tiny)

    assert "test.tsv, line 1: the header must be query-id, corpus-id and score" in refused.value.user_message


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_file_that_isnt_there_is_named(tiny: Path, name: str) -> None:
    (tiny / name).unlink()

    with pytest.raises(InvalidRequest) as refused:
        read_beir(tiny)

    assert ("*.tsv" if "tsv" in name else name) in refused.value.user_message


def test_a_split_that_isnt_there_is_named_with_those_that_are(tiny: Path) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_beir(tiny, split="dev")

    assert "has no dev.tsv; there is test." in refused.value.user_message
