from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.text.ages import moment_from, span_from


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("30m", timedelta(minutes=30)),
        (" 12h ", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        ("9999w", timedelta(weeks=9999)),
        ("10000w", None),
        ("0d", None),
        ("-1d", None),
        ("٣d", None),
        ("1.5h", None),
        ("7", None),
        ("d", None),
        ("", None),
    ],
)
def test_a_span_is_a_number_and_a_unit(text: str, span: timedelta | None) -> None:
    assert span_from(text) == span


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T10:00+02:00", datetime(2026, 11, 1, 8, tzinfo=UTC)),
        ("2026-11-31", None),
        ("yesterday", None),
        ("\x00", None),
    ],
)
def test_a_moment_without_an_offset_is_in_utc(text: str, moment: datetime | None) -> None:
    assert moment_from(text) == moment
