"""``coverslip share``: a link that opens one source, and ends."""

from __future__ import annotations

import re

import click

from coverslip.cli.helping import Sectioned
from coverslip.core.errors import BadUsage, CoverslipError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
TIME = re.compile(r"([0-9]{1,9})([smhdw])")


def seconds(text: str) -> int:
    """A time as people write it: ``30m``, ``12h``, ``7d``.

    Raises
    ------
    BadUsage
        When it is none.
    """
    found = TIME.fullmatch(text.strip().lower())
    if found is None:
        raise BadUsage(f"{text} is no time", "Write 30m, 12h or 7d.", "bad_time")
    return int(found[1]) * UNITS[found[2]]


EXAMPLES = (
    ("coverslip share lung", "A link to one source of the server in the background; it ends in a week."),
    ("coverslip share slide7.tif --expires 12h", "A source by its file's name, until tonight."),
    ("coverslip share lung --url https://lab.example.org", "As people reach the server from elsewhere."),
)


@click.command(cls=Sectioned, examples=EXAMPLES)
@click.argument("source", metavar="SOURCE")
@click.option(
    "-e", "--expires", default="7d", show_default=True, help="How long it opens: 30m, 12h, 7d; a year at most."
)
@click.option(
    "-u", "--url", metavar="URL", help="The server, as the link is to name it. Default: the one in the background."
)
@click.option("-t", "--token", envvar=["COVERSLIP_TOKEN", "BIOPB_TENSOR_TOKEN"],
              help="The token of the server at URL. Default: that of the one in the background.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Print the link only.")
def share(source: str, expires: str, url: str | None, token: str | None, quiet: bool) -> None:
    """Make a link that opens SOURCE to read, and nothing else, until it ends.

    SOURCE is the id of a source, its name or its path, as coverslip tensor query tells them.
    """
    from coverslip.daemon.asking import post

    for_s = seconds(expires)
    base, asked, shown, certificate = door(url, token)
    told = post(asked, "api/shares", shown, {"source": source, "expires_s": for_s}, certificate)
    click.echo(f"{base}/{told['fragment']}")
    if not quiet:
        click.echo(f"It opens {told['source']} to whoever has it, until {told['expires']}.", err=True)


def door(url: str | None, token: str | None) -> tuple[str, str, str | None, str | None]:
    """Of a server: its address for people, the one to ask at, the token to show, the only certificate to trust.

    Raises
    ------
    CoverslipError
        When no server is named and none runs in the background.
    """
    from coverslip.daemon.places import Places
    from coverslip.daemon.record import known, token_of

    now = known(places := Places.here())
    if now.running and now.record is not None and (url is None or token is None):
        kept = token_of(places)  # shown to that server only, whatever address people reach it at
        return (url or now.record.http).rstrip("/"), now.record.http, kept, now.record.certificate
    if url is None:
        hint = "Name one: --url http://HOST:PORT, and its token in COVERSLIP_TOKEN."
        raise CoverslipError("No coverslip server runs in the background", hint, "not_running")
    return url.rstrip("/"), url, token, None
