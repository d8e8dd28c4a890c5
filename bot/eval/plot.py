"""Bars side by side as an SVG of our own: the ways of searching by each measure."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from bot.console import printable
from bot.eval.figures import QUALITY, Figures
from bot.eval.runs import LEGS

_COLOURS = {"dense": "#7aa6c2", "lexical": "#d9a441", "hybrid": "#2f5d50"}
_BAR, _GAP, _HEIGHT = 22, 28, 220
_LEFT, _TOP, _BOTTOM = 44, 48, 36


def svg_of(title: str, figures: Figures) -> str:
    """Return an SVG document; what couldn't be counted has no bar."""
    group = len(LEGS) * _BAR + _GAP
    width, height = _LEFT + len(QUALITY) * group + _GAP, _TOP + _HEIGHT + _BOTTOM
    parts = [*_frame(title, width), *_legend(width)]
    for place, name in enumerate(QUALITY):
        left = _LEFT + _GAP + place * group
        parts += _bars(left, {leg: figures.legs[leg][name] for leg in LEGS})
        middle = left + len(LEGS) * _BAR / 2
        parts.append(_text(middle, height - _BOTTOM + 18, name, anchor="middle"))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _frame(title: str, width: int) -> list[str]:
    lines = [_text(_LEFT, 20, title, weight="bold")]
    for tenths in range(0, 11, 2):
        y = _y(tenths / 10)
        lines.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{width - 8}" y2="{y:.1f}" stroke="#ddd"/>')
        lines.append(_text(_LEFT - 8, y + 4, f"{tenths / 10:.1f}", anchor="end"))
    return lines


def _legend(width: int) -> list[str]:
    parts = []
    for place, leg in enumerate(LEGS):
        x = width - (len(LEGS) - place) * 76
        parts.append(f'<rect x="{x}" y="28" width="10" height="10" fill="{_COLOURS[leg]}"/>')
        parts.append(_text(x + 14, 37, leg))
    return parts


def _bars(left: float, values: Mapping[str, float | None]) -> list[str]:
    parts = []
    for place, (leg, value) in enumerate(values.items()):
        if value is None:
            continue
        x, y = left + place * _BAR, _y(value)
        parts.append(
            f'<rect x="{x}" y="{y:.1f}" width="{_BAR - 2}" height="{_TOP + _HEIGHT - y:.1f}" fill="{_COLOURS[leg]}">'
            f"<title>{leg}: {value:.3f}</title></rect>"
        )
    return parts


def _y(value: float) -> float:
    return _TOP + _HEIGHT * (1 - value)


def _text(x: float, y: float, words: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(printable(words))}</text>'
