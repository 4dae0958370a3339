"""Errors for people: who types a wrong address into a browser reads a page, not a program's answer."""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import Response

from coverslip.fronts.prefixed import as_sent

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>coverslip: {title}</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40em; margin: 15vh auto; padding: 1em }}</style></head>
<body><h1>{title}</h1><p>{message}.</p><p><a href="{home}">Everything on offer</a></p></body></html>
"""
TITLES = {403: "Not allowed", 404: "Nothing is here", 410: "It is gone"}


def is_person(request: Request) -> bool:
    """Whether somebody opens this address in a tab, as browsers tell; no program asks so."""
    return request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"


def page(request: Request, status: int, message: str) -> Response:
    """An error as a page with a way on.

    Parameters
    ----------
    message
        What is wrong, in one line without a stop; it may hold what the visitor wrote.
    """
    title = TITLES.get(status, "This cannot be shown")
    home = escape(f"{as_sent(request.scope)}/")
    body = PAGE.format(title=title, message=escape(message), home=home)
    return Response(body, status, {"Cache-Control": "no-store", "Vary": "Sec-Fetch-Mode"}, "text/html")
