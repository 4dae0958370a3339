"""``coverslip share``: links that open one source, and end."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote, urlsplit

import click

from coverslip.cli.helping import Sectioned
from coverslip.cli.plain import plain
from coverslip.core.errors import BadUsage, CoverslipError, NotFound

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
SHARES = "api/shares"
HERE = ("127.0.0.1", "::1", "localhost")
ID = re.compile(r"[0-9a-f]{16}")
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
    ("coverslip share slide7.tif --expires 12h --label Ada", "A source by its file's name, for Ada until tonight."),
    ("coverslip share lung --url https://lab.example.org", "As people reach the server from elsewhere."),
    ("coverslip share --list", "The links that were made: to what, for whom, until when."),
    ("coverslip share --revoke 5b1f0c9a7d3e2468", "Takes that one back; its address does in place of its id."),
)
COLUMNS = ("Link", "Source", "For", "Made", "Until")


@click.command(cls=Sectioned, examples=EXAMPLES)
@click.argument("source", metavar="[SOURCE]", required=False)
@click.option(
    "-e", "--expires", default="7d", show_default=True, help="How long it opens: 30m, 12h, 7d; a year at most."
)
@click.option("-l", "--label", default="", help="Whom it is for, for the list; the link does not hold it.")
@click.option("--list", "listed", is_flag=True, help="List the links that were made and have not ended.")
@click.option("--revoke", metavar="LINK", help="Take a link back: its id as --list tells it, or the link itself.")
@click.option("--json", "as_json", is_flag=True, help="With --list and --revoke: print JSON.")
@click.option(
    "-u", "--url", metavar="URL", help="The server, as the link is to name it. Default: the one in the background."
)
@click.option("-t", "--token", envvar=["COVERSLIP_TOKEN", "BIOPB_TENSOR_TOKEN"],
              help="The token of the server at URL. Default: that of the one in the background.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Print the link only.")
def share(
    source: str | None, expires: str, label: str, listed: bool, revoke: str | None, as_json: bool, url: str | None,
    token: str | None, quiet: bool,
) -> None:  # fmt: skip
    """Make a link that opens SOURCE to read, and nothing else, until it ends.

    SOURCE is the id of a source, its name or its path, as coverslip tensor query tells them.
    """
    from coverslip.daemon.asking import ask, post

    if (source is not None) + listed + (revoke is not None) != 1:
        raise click.UsageError("Name a SOURCE to make a link to it, or give --list, or --revoke.")
    for_s = seconds(expires)
    base, asked, shown, certificate = door(url, token)
    if listed:
        tell_links(ask("GET", asked, SHARES, shown, None, certificate)["shares"], as_json)
    elif revoke is not None:
        told = ask("DELETE", asked, f"{SHARES}/{quote(id_of(revoke), safe='')}", shown, None, certificate)
        if as_json:
            click.echo(json.dumps(told, indent=2))
        elif not quiet:
            click.echo(f"The link to {plain(told['name'])} opens nothing any more.")
    else:
        content = {"source": source, "expires_s": for_s, **({"label": label} if label else {})}
        try:
            told = post(asked, SHARES, shown, content, certificate)
        except CoverslipError as error:
            if error.name != "source_not_found":
                raise
            raise NotFound(error.message, "coverslip tensor query lists them.", error.name) from error
        click.echo(f"{base}/{told['fragment']}" if "fragment" in told else told["token"])
        if not quiet:
            click.echo(f"It opens {told['source']} to whoever has it, until {told['expires']}.", err=True)
            if url is None and urlsplit(base).hostname in HERE:
                click.echo("Its address is this machine's own: --url names the server as others reach it.", err=True)
            click.echo(f"Take it back: coverslip share --revoke {told['id']}", err=True)


def id_of(text: str) -> str:
    """The id of a link, of what a person names it by.

    Raises
    ------
    BadUsage
        When it is neither an id nor a link.
    """
    from coverslip.engine.rights import link_id

    found = text if ID.fullmatch(text) else link_id(text)
    if found is None:
        raise BadUsage("That is no link", "Name its id, as coverslip share --list tells it, or the link.", "no_link")
    return found


def tell_links(notes: list[dict[str, Any]], as_json: bool) -> None:
    """Print which links there are."""
    if as_json:
        click.echo(json.dumps(notes, indent=2))
        return
    from coverslip.cli.table import table

    rows = [
        (note["id"], plain(note["name"]), plain(note["label"]), note["made"],
         "taken back" if note["revoked"] else note["expires"])
        for note in notes
    ]  # fmt: skip
    click.echo(table("Links", COLUMNS, rows) if rows else "No link was made that has not ended.")


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
