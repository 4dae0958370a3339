"""What MkDocs does to pages on their way.

What they link to outside of the documentation is named, not linked; the list of pages begins with what newcomers read.
"""

from __future__ import annotations

import re
from typing import Any

import docs_openapi  # MkDocs finds what lies beside a hook
import docs_tables

MADE = {
    "<!-- made of the code: settings -->": docs_tables.settings_page,
    "<!-- made of the code: commands -->": docs_tables.commands_page,
    "<!-- made of the code: openapi -->": docs_openapi.openapi_page,
}
FETCHED = re.compile(
    r"""<(?:script|img|iframe|link rel=.?(?:stylesheet|icon).?)[^>]*?(?:src|href)=["']?(https?://[^"'> ]+)"""
)
ORDER = ("Tutorials", "How to", "Reference", "Explanation", "Decisions")
"""The sections of the site; MkDocs alone puts them in the order of the alphabet, our 40 decisions first."""
OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+((?:deploy|benchmarks|src|tests|viewer|scripts|[A-Z]+\.md)[^)]*)\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs with the text of each page."""
    for mark, made in MADE.items():
        if mark in markdown:
            markdown = markdown.replace(mark, made())
    return OUTSIDE.sub(lambda found: f"{found[1]} (`{found[2]}` in the repository)", markdown)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Called by MkDocs with each page as it is written; none may need the internet to be read."""
    if fetched := FETCHED.search(output):
        raise SystemExit(f"{page.file.src_path} fetches {fetched[1]}")
    return output


def on_nav(nav: Any, **_: Any) -> Any:
    """Called by MkDocs with the list of pages; a folder that is not in `ORDER` comes last."""
    place = {name: n for n, name in enumerate(ORDER)}
    nav.items.sort(key=lambda item: place.get(item.title, len(ORDER)) if item.is_section else -1)
    return nav
