"""`make eval` converts the labelled sets as they are meant, holds figures to their floors, and writes its page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import eval as command
from benchmarks import quality
from benchmarks.labelled import SETS, Labelled, write_beir
from bot.eval.beir import BeirDocument, BeirQuery, BeirSet, read_beir
from bot.eval.figures import Figures

XQUAD, MED, LOCOMO = SETS


def converted(labelled: Labelled, data: Path) -> list[BeirSet]:
    return [read_beir(part) for part in labelled.write(data, data / "written")]


def figures(hybrid: float, *, dense: float = 0.9, quotes: float = 1.0) -> Figures:
    legs = {"dense": dense, "lexical": 0.8, "hybrid": hybrid}
    names = ("recall@5", "recall@10", "recall@100", "mrr@10", "p50_ms", "p95_ms")
    answers = {"answered": 0.9, "refusal.precision": None, "refusal.recall": None, "quotes": quotes}
    return Figures(
        10, 9, {leg: {"ndcg@10": value, **dict.fromkeys(names, 0.5)} for leg, value in legs.items()}, answers
    )


def test_xquad_is_its_paragraphs_with_answers_and_subjects(tmp_path: Path) -> None:
    asked = {"id": "q1", "question": "When?", "answers": [{"text": "1871", "answer_start": 3}]}
    paragraphs = [{"context": "In 1871.", "qas": [asked]}, {"context": "Elsewhere.", "qas": []}]
    (tmp_path / "xquad").mkdir()
    (tmp_path / XQUAD.path).write_text(json.dumps({"data": [{"title": "Heron", "paragraphs": paragraphs}]}))

    (found,) = converted(XQUAD, tmp_path)

    assert [(one.text, one.metadata) for one in found.documents] == [
        ("In 1871.", {"group": "Heron"}),
        ("Elsewhere.", {"group": "Heron"}),
    ]
    assert [(one.text, one.gains, one.metadata["answers"]) for one in found.queries] == [("When?", {"p0": 1}, ["1871"])]


def test_med_is_its_records_and_judgements(tmp_path: Path) -> None:
    folder = tmp_path / MED.path
    folder.mkdir()
    (folder / "MED.ALL").write_text(".I 1\n.W\nthe lens\nof the eye .\n.I 2\n.W\nthe lung .\n")
    (folder / "MED.QRY").write_text(".I 1\n.W\n lens ?\n")
    (folder / "MED.REL").write_text("1 0 1 1\n")

    (found,) = converted(MED, tmp_path)

    assert [(one.id, one.text) for one in found.documents] == [("1", "the lens of the eye ."), ("2", "the lung .")]
    assert [(one.text, one.gains) for one in found.queries] == [("lens ?", {"1": 1})]


def test_locomo_is_a_set_for_each_of_three_chats(tmp_path: Path) -> None:
    conversation = {
        "speaker_a": "Ada",
        "session_1_date_time": "noon",
        "session_1": [
            {"speaker": "Ada", "dia_id": "D1:1", "text": "Look!", "blip_caption": "a heron"},
            {"speaker": "Bob", "dia_id": "D1:2", "text": "Nice."},
        ],
    }
    asked = [
        {"question": "What did Ada show?", "evidence": ["D1:1", "D"], "category": 1},
        {"question": "What is lost?", "evidence": ["D:9"], "category": 1},
        {"question": "Who sang?", "evidence": ["D1:2"], "category": 5},
    ]
    (tmp_path / "locomo").mkdir()
    (tmp_path / LOCOMO.path).write_text(json.dumps([{"conversation": conversation, "qa": asked}] * 5))

    parts = converted(LOCOMO, tmp_path)

    assert len(parts) == 3
    assert parts[0].documents[0].text == "Ada (noon): Look! [image: a heron]"
    assert [(one.text, one.gains) for one in parts[0].queries] == [
        ("What did Ada show?", {"D1:1": 1}),
        ("Who sang?", {}),
    ]


def test_the_real_sets_have_the_sizes_that_were_measured(shared: Path, tmp_path: Path) -> None:
    sizes = {}
    for labelled in SETS:
        parts = [read_beir(part) for part in labelled.write(shared / "data", tmp_path)]
        answerable = sum(bool(query.gains) for part in parts for query in part.queries)
        sizes[labelled.name] = (sum(len(part.documents) for part in parts), answerable)

    assert sizes == {"xquad": (240, 1190), "med": (1033, 30), "locomo": (1661, 432)}


def test_a_sample_keeps_what_its_queries_need(tmp_path: Path) -> None:
    documents = [BeirDocument(f"d{number}", "", "x") for number in range(1000)]
    queries = [BeirQuery(f"q{number}", "x?", {f"d{number}": 1, f"d{number + 500}": 1}) for number in range(300)]
    write_beir(tmp_path / "set", documents, queries)

    found = command.sample(read_beir(tmp_path / "set"), queries=30, documents=100)

    kept = {document.id for document in found.documents}
    assert 20 <= len(found.queries) <= 30
    assert 80 <= len(kept) <= 100
    assert all(query.gains.keys() <= kept for query in found.queries)


@pytest.mark.parametrize(
    ("measured", "failed"),
    [
        (figures(0.981), []),
        (figures(0.9809), ["xquad_ndcg10"]),
        (figures(0.981, dense=0.984), ["xquad_over_legs"]),
        (figures(0.981, quotes=0.999), ["xquad_quotes"]),
    ],
)
def test_a_floor_holds_or_the_command_fails(measured: Figures, failed: list[str]) -> None:
    measures = quality.measures_of("xquad", measured, {"top1": 0.8, "top3": 0.93, "shown": 0.91})

    assert [measure.name for measure in measures if not measure.holds] == failed


def test_the_answers_have_floors_too_and_a_sample_lower_ones() -> None:
    extra = {"top1": 0.79, "top3": 0.93, "shown": 0.91, "auc_article": None}

    whole = quality.measures_of("xquad", figures(0.99), extra)
    sampled = quality.measures_of("xquad", figures(0.99), extra, slack=0.1)

    assert [measure.name for measure in whole if not measure.holds] == ["xquad_top1"]
    assert [measure.name for measure in sampled if not measure.holds] == []
    assert "xquad_auc_article" not in {measure.name for measure in whole}


def test_a_part_of_the_page_is_written_anew_and_the_rest_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "quality.md"
    page.write_text("# Quality\n\nBy hand.\n")
    monkeypatch.setattr(quality, "PAGE", page)

    for hybrid in (0.97, 0.99):
        measured = figures(hybrid)
        quality.write(XQUAD, measured, quality.measures_of("xquad", measured, {}))
        quality.write(MED, measured, quality.measures_of("med", measured, {}))

    written = page.read_text()
    assert written.startswith("# Quality\n\nBy hand.\n\n<!-- Written by `make eval`: xquad -->")
    assert written.count("## XQuAD") == written.count("## MED") == 1
    assert "| nDCG@10 | 0.990 | ≥ 0.981 | ok | ≥ 0.985 | reached |" in written
    assert "`make eval ONLY=xquad`" in written
    assert "`eval: ok xquad_ndcg10=0.990" in written
    assert "0.970" not in written


def test_sets_that_arent_there_are_counted_aloud_and_none_at_all_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RECOLLECT_SHARED", str(tmp_path))

    code = command.main([])

    shown = capsys.readouterr().out
    assert code == 1
    assert "NOT RUN: 3 of 3 sets" in shown
    assert shown.splitlines()[-1] == "eval: failed"


def test_a_set_is_measured_with_its_answers_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole command on a made-up XQuAD of four paragraphs, two articles, in its quick form."""
    monkeypatch.setenv("RECOLLECT_SHARED", str(tmp_path))
    monkeypatch.setattr(quality, "PAGE", tmp_path / "quality.md")
    facts = {
        "Brackwater": [
            ("The lighthouse of Brackwater was built in 1871.", "When was the lighthouse built?", "1871"),
            ("The harbour of Brackwater freezes in January.", "When does the harbour freeze?", "January"),
        ],
        "Heron": [
            ("The heron eats small fish and frogs.", "What does the heron eat?", "small fish"),
            ("Herons nest in tall trees near water.", "Where do herons nest?", "tall trees"),
        ],
    }
    articles = [
        {
            "title": title,
            "paragraphs": [
                {
                    "context": context,
                    "qas": [{"id": asked, "question": asked, "answers": [{"text": answer, "answer_start": 0}]}],
                }
                for context, asked, answer in paragraphs
            ],
        }
        for title, paragraphs in facts.items()
    ]
    (tmp_path / "data" / "xquad").mkdir(parents=True)
    (tmp_path / "data" / XQUAD.path).write_text(json.dumps({"data": articles}))

    code = command.main(["--quick", "--only", "xquad"])

    last = capsys.readouterr().out.splitlines()[-1]
    assert code == 0, last
    named = dict(word.split("=") for word in last.removeprefix("eval: ok ").split())
    assert named["xquad_ndcg10"] == named["xquad_top1"] == named["xquad_auc_topic"] == "1.000"
    assert named["sets_not_run"] == named["unread"] == "0"
    assert not quality.PAGE.exists()


def test_a_document_that_cant_be_read_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RECOLLECT_SHARED", str(tmp_path))
    folder = tmp_path / "data" / MED.path
    folder.mkdir(parents=True)
    (folder / "MED.ALL").write_text(".I 1\n.W\nthe lens of the eye .\n.I 2\n.W\n...\n")
    (folder / "MED.QRY").write_text(".I 1\n.W\n lens of the eye ?\n")
    (folder / "MED.REL").write_text("1 0 1 1\n")

    code = command.main(["--quick", "--only", "med"])

    last = capsys.readouterr().out.splitlines()[-1]
    assert code == 1
    assert last.startswith("eval: failed med_ndcg10=1.000")
    assert "unread=1" in last


def test_measures_are_written_with_as_many_digits_as_they_say() -> None:
    (first, *_) = quality.measures_of("xquad", figures(0.9814), {})

    assert first.figure == "0.981"
    assert replace(first, digits=None).figure == "0.98"
