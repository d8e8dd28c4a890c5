"""The path of headings that a text stands under."""

from __future__ import annotations

PATH_SEPARATOR = " › "
"""Stands between the headings above a text, the highest first."""


def headed(text: str, heading: str | None) -> str:
    """Return a text below its heading, as search sees it: under which titles it stands is part of what it says.

    Those of the path that the text holds itself aren't said twice.
    """
    above = [title for title in (heading or "").split(PATH_SEPARATOR) if title and title not in text]
    return f"{PATH_SEPARATOR.join(above)}\n\n{text}" if above else text
