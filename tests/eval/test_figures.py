"""Figures of a handful of outcomes, worked by hand; thresholds; and how they are shown."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from pydantic import SecretStr
from rich.console import Console

from bot.config import Settings
from bot.errors import InvalidRequest
from bot.eval.case import ByDocument, Case, Ranking
from bot.eval.commands import prices_from
from bot.eval.figures import figures_of
from bot.eval.outcome import Answered, Found, Outcome
from bot.eval.plot import svg_of
from bot.eval.report import Report, answer_table, search_table
from bot.eval.thresholds import missed, thresholds_from
from bot.values import Usage

ANSWERABLE = Case("When?", ByDocument({"a": 1}, {}))
UNANSWERABLE = Case("Who?", None)
LOCAL = Usage("extractive", 100, 10)


def found(*gains: int, ms: float = 10) -> Found:
    return Found(Ranking(gains, (1,)), ms)


def outcome(case: Case, *, answered: bool, hybrid: Found | None = None, usage: Usage = LOCAL) -> Outcome:
    nothing = Found(None, 10)
    legs = {"dense": found(0, 1), "lexical": found(0), "hybrid": hybrid or found(1)}
    answer = Answered(answered, quotes=2 * answered, verified=answered, usage=usage, duration_ms=50)
    return Outcome(case, legs if case.judge else dict.fromkeys(legs, nothing), answer)


def four() -> list[Outcome]:
    return [
        outcome(ANSWERABLE, answered=True),
        outcome(ANSWERABLE, answered=False, hybrid=found(0, 0, 1)),
        outcome(UNANSWERABLE, answered=False),
        outcome(UNANSWERABLE, answered=True),
    ]


def test_rankings_are_judged_over_the_answerable_and_refusals_over_all() -> None:
    figures = figures_of(four()).by_name

    assert figures["ndcg@10"] == pytest.approx((1 + 0.5) / 2)
    assert figures["mrr@10"] == pytest.approx((1 + 1 / 3) / 2)
    assert figures["dense.mrr@10"] == 0.5
    assert figures["lexical.recall@100"] == 0
    assert figures["answered"] == 0.5
    assert figures["refusal.precision"] == 0.5  # two refused, one rightly
    assert figures["refusal.recall"] == 0.5
    assert figures["quotes"] == 0.5
    assert (figures["tokens.prompt"], figures["tokens.completion"]) == (400, 40)


def test_a_set_that_answers_everything_says_nothing_of_refusal() -> None:
    figures = figures_of(four()[:2]).by_name

    assert figures["refusal.precision"] is figures["refusal.recall"] is None


def test_what_nobody_is_paid_for_costs_nothing_and_what_has_no_price_is_unknown() -> None:
    local = Settings(_env_file=None, chat_model="local")
    remote = Settings(_env_file=None, openai_api_key=SecretStr("sk-x"))
    paid = [outcome(ANSWERABLE, answered=True, usage=Usage("gpt", 1_000_000, 500_000))]

    assert figures_of(paid, prices=prices_from("", local)).answers["cost_usd"] == 0
    assert figures_of(paid, prices=prices_from("", remote)).answers["cost_usd"] is None
    assert figures_of(paid, prices=prices_from("0.40,1.60", remote)).answers["cost_usd"] == pytest.approx(1.2)


def test_without_answers_search_alone_is_told() -> None:
    figures = figures_of([replace(one, answer=None) for one in four()])

    assert figures.answers == {}
    assert "quotes" not in figures.by_name


def test_thresholds_hold_or_are_named() -> None:
    figures = figures_of(four()).by_name

    assert missed(figures, thresholds_from("ndcg@10=.75, dense.mrr@10=0.5")) == []
    assert missed(figures, thresholds_from("ndcg@10=.76")) == ["ndcg@10 is 0.750, below 0.76."]
    assert missed({}, thresholds_from("quotes=0")) == ["quotes is not there, below 0."]


@pytest.mark.parametrize("words", ["ndcg=1", "ndcg@10", "ndcg@10=much", "p95_ms=3", "ndcg@10=nan"])
def test_a_threshold_that_makes_no_sense_is_refused(words: str) -> None:
    with pytest.raises(InvalidRequest):
        thresholds_from(words)


@pytest.mark.parametrize("words", ["1", "1,2,3", "a,b", "-1,1", "nan,1"])
def test_prices_that_make_no_sense_are_refused(words: str) -> None:
    with pytest.raises(InvalidRequest):
        prices_from(words, Settings(_env_file=None))


def report(figures_from: list[Outcome]) -> Report:
    return Report("<tiny>", "minilm", "extractive", 0.5, 0.2, figures_of(figures_from), {"documents": 3, "unread": 0})


def test_the_tables_show_each_way_of_searching_and_the_answers() -> None:
    console = Console(width=120, record=True, file=None)
    with console.capture() as capture:
        console.print(search_table(report(four())))
        console.print(answer_table(report(four())))

    shown = capture.get()
    assert [word for word in ("dense", "lexical", "hybrid", "ndcg@10", "0.750", "400 + 40") if word not in shown] == []
    assert report(four()).heading == "<tiny>: 3 documents, 4 questions, 2 of them answerable"


def test_the_json_holds_every_figure() -> None:
    read = json.loads(json.dumps(report(four()[:2]).as_json))

    assert read["figures"]["hybrid.ndcg@10"] == pytest.approx(0.75)
    assert read["figures"]["refusal.recall"] is None
    assert read["unread"] == 0


def test_the_plot_is_an_svg_with_a_bar_for_each_figure() -> None:
    drawn = ET.fromstring(svg_of("<tiny>", figures_of(four())))  # our own

    bars = [bar for bar in drawn.iter("{http://www.w3.org/2000/svg}rect") if len(bar)]
    assert len(bars) == 15
    assert "<tiny>" in [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
