"""What MkDocs does to pages on their way: what they link to outside of the documentation is named, not linked."""

from __future__ import annotations

import re
from typing import Any

import docs_tables  # MkDocs finds what lies beside a hook

MADE = {"<!-- made of the code: settings -->": "settings_page", "<!-- made of the code: commands -->": "commands_page"}
OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+((?:deploy|benchmarks|src|tests|viewer|scripts|[A-Z]+\.md)[^)]*)\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs with the text of each page."""
    for mark, name in MADE.items():
        if mark in markdown:
            markdown = markdown.replace(mark, getattr(docs_tables, name)())
    return OUTSIDE.sub(lambda found: f"{found[1]} (`{found[2]}` in the repository)", markdown)
