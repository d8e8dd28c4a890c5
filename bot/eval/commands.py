"""`bot eval beir`, `questions` and `calibrate`."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from bot.config import Settings
from bot.console import complain, printable, progress_bars, say
from bot.db.storage import open_storage
from bot.errors import InvalidRequest
from bot.eval.beir import read_beir
from bot.eval.calibration import Choice, calibrate, weights_of_grid
from bot.eval.case import Case
from bot.eval.figures import FREE, Figures, Prices, figures_of
from bot.eval.outcome import Outcome
from bot.eval.plot import svg_of
from bot.eval.questions import Expected, read_questions, require_known
from bot.eval.report import Report, answer_table, calibration_table, search_table
from bot.eval.runs import Runner
from bot.eval.sets import stock
from bot.eval.thresholds import missed, thresholds_from
from bot.eval.trials import try_questions
from bot.offline import Desk, open_desk
from bot.values import Audience
from bot.wiring import Services

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Options:
    """How an evaluation is run and shown, and what it must reach."""

    answers: bool = True
    as_json: bool = False
    plot: Path | None = None
    at_least: str = ""
    prices: str = ""


async def beir(settings: Settings, folder: Path, *, split: str | None, options: Options) -> int:
    """Evaluate a set in BEIR's layout, in a workspace of its own; return 1 when a threshold is missed."""
    at_least, prices = thresholds_from(options.at_least), prices_from(options.prices, settings)
    wanted = await asyncio.to_thread(read_beir, folder, split=split)
    with progress_bars() as bars:
        read = _bar(bars, "Reading the corpus", len(wanted.documents))
        async with (
            open_storage(settings) as storage,
            stock(settings, storage, wanted.documents, tick=read) as stocked,
        ):
            runner = Runner(stocked.services, stocked.audience, user_id=stocked.user_id, answers=options.answers)
            outcomes = await _ask(runner, stocked.cases(wanted), bars)
            counts = {"documents": len(wanted.documents), "unread": len(stocked.unread), "unjudged": wanted.unjudged}
            report = _report(settings, stocked.services, wanted.name, figures_of(outcomes, prices=prices), counts)
    return _show(report, options, at_least)


async def questions(settings: Settings, path: Path, *, channel: str | None, team: str | None, options: Options) -> int:
    """Ask an operator's own questions of the workspace's own data; return 1 when a threshold is missed."""
    at_least, prices = thresholds_from(options.at_least), prices_from(options.prices, settings)
    expected = await asyncio.to_thread(read_questions, path)
    with progress_bars() as bars:
        async with open_desk(settings, team=team) as desk:
            audience = await _audience(desk, channel, path, expected)
            runner = Runner(desk.services, audience, user_id=desk.operator.id, answers=options.answers)
            outcomes = await _ask(runner, [each.case for each in expected], bars)
            report = _report(settings, desk.services, path.name, figures_of(outcomes, prices=prices), {})
    return _show(report, options, at_least)


async def calibration(
    settings: Settings, path: Path, *, channel: str | None, team: str | None, as_json: bool = False
) -> int:
    """Print which BLEND_WEIGHT and RELEVANCE_FLOOR fit an operator's own questions, and how sure that is."""
    expected = await asyncio.to_thread(read_questions, path)
    now = Choice(settings.blend_weight, settings.relevance_floor)
    with progress_bars() as bars:
        async with open_desk(settings, team=team) as desk:
            audience = await _audience(desk, channel, path, expected)
            tick = _bar(bars, "Asking", len(expected))
            weights = weights_of_grid(now.weight)
            tried = await try_questions(desk.services, audience, expected, weights=weights, tick=tick)
            embedder = desk.services.embedder.name
    found = calibrate(tried, now=now)
    if as_json:
        say(json.dumps({"embedding_model": embedder, **asdict(found)}, ensure_ascii=False))
        return 0
    Console(soft_wrap=True).print(calibration_table(found, embedder=embedder))
    say(f"Set BLEND_WEIGHT={found.choice.weight:g} and RELEVANCE_FLOOR={found.choice.floor:g} for {embedder}.")
    return 0


def prices_from(words: str, settings: Settings) -> Prices | None:
    """Return what a million tokens cost; None when nobody says, and somebody else's model answers. Raises InvalidRequest."""
    if not words:
        return None if settings.chat_is_openai else FREE
    try:
        prompt, completion = map(float, words.split(","))
    except ValueError:
        prompt = completion = math.nan
    if not (0 <= prompt < math.inf and 0 <= completion < math.inf):
        message = f"{words} must be two numbers, dollars for a million tokens read and written: 0.40,1.60"
        raise InvalidRequest(words, user_message=message)
    return Prices(prompt, completion)


async def _ask(runner: Runner, cases: Sequence[Case], bars: Progress) -> list[Outcome]:
    return await runner.run(cases, tick=_bar(bars, "Asking", len(cases)))


def _bar(bars: Progress, words: str, total: int) -> Callable[[], None]:
    bar = bars.add_task(words, total=total)
    return lambda: bars.advance(bar)


async def _audience(desk: Desk, channel: str | None, path: Path, expected: Sequence[Expected]) -> Audience:
    """Return who asks. Raises NotFound, and BadLine for a file that nobody there can read."""
    audience = await desk.audience(channel)
    filenames: set[str] = set()
    page = await desk.services.documents.list_page(audience, limit=_PAGE)
    while page.documents:
        filenames.update(document.filename for document in page.documents)
        if page.after is None:
            break
        page = await desk.services.documents.list_page(audience, after=page.after, limit=_PAGE)
    require_known(path, expected, filenames)
    return audience


def _report(settings: Settings, services: Services, title: str, figures: Figures, counts: dict[str, int]) -> Report:
    return Report(
        title=title,
        embedder=services.embedder.name,
        answerer=services.chat.name,
        blend_weight=settings.blend_weight,
        relevance_floor=settings.relevance_floor,
        figures=figures,
        counts=counts,
    )


def _show(report: Report, options: Options, at_least: dict[str, float]) -> int:
    if options.plot is not None:
        _write(options.plot, svg_of(report.title, report.figures))
    if options.as_json:
        say(json.dumps(report.as_json, ensure_ascii=False))
    else:
        say(report.heading)
        console = Console(soft_wrap=True)
        console.print(search_table(report))
        if report.figures.answers:
            console.print(answer_table(report))
    below = missed(report.figures.by_name, at_least)
    for sentence in below:
        complain(sentence)
    return 1 if below else 0


def _write(path: Path, content: str) -> None:
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        message = f"I can't write {printable(str(path))} ({error.strerror})."
        raise InvalidRequest(str(path), user_message=message) from error
