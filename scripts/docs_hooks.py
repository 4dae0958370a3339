"""What MkDocs does to pages on their way: what they link to outside of the documentation is named, not linked."""

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
OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+((?:deploy|benchmarks|src|tests|viewer|scripts|[A-Z]+\.md)[^)]*)\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs with the text of each page."""
    for mark, made in MADE.items():
        if mark in markdown:
            markdown = markdown.replace(mark, made())
    return OUTSIDE.sub(lambda found: f"{found[1]} (`{found[2]}` in the repository)", markdown)
