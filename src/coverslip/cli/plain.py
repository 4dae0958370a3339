"""Texts that others wrote, as a terminal may be given them."""

from __future__ import annotations

KEPT = "\N{NO-BREAK SPACE}"


def plain(text: str) -> str:
    """The text in one line, without what would steer a terminal: names in files, and of files, may hold anything."""
    return "".join(c if c.isprintable() or c in KEPT else c.encode("unicode_escape").decode() for c in text)


def plain_lines(text: str) -> str:
    """The same of a text of several lines."""
    return "\n".join(map(plain, text.split("\n")))
