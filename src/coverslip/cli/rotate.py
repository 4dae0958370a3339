"""``coverslip server token --rotate``: what the new tokens are, and telling the server."""

from __future__ import annotations

from typing import Any

import click

from coverslip.cli.share import seconds
from coverslip.core.errors import BadUsage
from coverslip.daemon.flags import kept
from coverslip.daemon.places import Places
from coverslip.daemon.record import Record, read_token_of, token_of


def rotated(record: Record, places: Places, grace: str | None) -> None:
    """Have the running server ask for other tokens; it keeps them itself.

    Raises
    ------
    CoverslipError
        When the server refuses, or its configuration file names a token and still names the old one.
    """
    from coverslip.daemon.asking import post

    content: dict[str, Any] = {"grace_s": seconds(grace) if grace else 0, **_configured(places)}
    post(record.http, "api/admin/token", token_of(places), content, record.certificate)
    click.echo("The server asks for another token from now on.", err=True)


def _configured(places: Places) -> dict[str, str]:
    """The tokens that a configuration file names: a restart takes them, so they are the new ones."""
    flags = kept(places)
    if flags.config is None or (flags.token_kept and flags.read_token_kept):
        return {}
    from pathlib import Path

    from coverslip.config import load

    named = load(Path(flags.config)).server
    given: dict[str, str] = {}
    if not flags.token_kept and named.token is not None:
        if named.token == token_of(places):
            hint = "Write another one there, or take it out; then rotate."
            raise BadUsage(f"{flags.config} names the token, and a restart would take it again", hint, "same_token")
        given["token"] = named.token
    if not flags.read_token_kept and named.read_token not in (None, "auto", read_token_of(places)):
        given["read_token"] = str(named.read_token)
    return given
