"""Tables on a terminal."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence

from coverslip.cli.plain import plain


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], encoding: str | None = None) -> str:
    """Rows under their columns' names, in a box; of ASCII where the terminal cannot show another.

    Parameters
    ----------
    title
        Above the table.
    columns
        Their names.
    rows
        As many texts each as there are columns.
    encoding
        Of the terminal; that of standard output when left out.
    """
    title, rows = plain(title), [[plain(text) for text in row] for row in rows]
    cells = [list(columns), *rows]
    widths = [max(width(row[i]) for row in cells) for i in range(len(columns))]
    fancy = _shows(encoding or sys.stdout.encoding or "ascii")

    def rule(left: str, line: str, cross: str, right: str) -> str:
        if not fancy:
            left, line, cross, right = "+", "-", "+", "+"
        return left + cross.join(line * (w + 2) for w in widths) + right

    def shown(row: Sequence[str], bar: str) -> str:
        bar = bar if fancy else "|"
        return bar + bar.join(f" {text}{' ' * (w - width(text))} " for text, w in zip(row, widths, strict=True)) + bar

    whole = sum(widths) + 3 * len(widths) + 1
    head = [title.center(whole).rstrip(), rule("┏", "━", "┳", "┓"), shown(columns, "┃"), rule("┡", "━", "╇", "┩")]
    return "\n".join([*head, *(shown(row, "│") for row in rows), rule("└", "─", "┴", "┘")])


def width(text: str) -> int:
    """Columns of a terminal that a text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _shows(encoding: str) -> bool:
    try:
        "┏━┳┓┃┡╇┩│└─┴┘".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
