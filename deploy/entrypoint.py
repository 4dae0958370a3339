#!/usr/bin/env python3
"""Starts the server of a container; ``entrypoint.py health`` asks it how it is.

Arguments are given to ``coverslip server start``; anything that begins with another command is run instead
(``docker run IMAGE coverslip version``). The environment:

DATA_DIR               what is served (/data)
MONITOR                whether changes below it are followed (true)
CONFIG_FILE            a configuration, instead of DATA_DIR and MONITOR
BIOPB_BASE_PORT        HTTP listens on this + 4, Arrow Flight on this + 5 (8810)
BIOPB_TENSOR_TOKEN     the token (made up, and shown once); COVERSLIP_TOKEN is the same
BIOPB_BIND_LOCALHOST   listen on this machine only; for Apptainer, ignored in Docker (false)
BIOPB_EXTERNAL_HOST    the host in the address that is shown (this machine's name)
BIOPB_TMP              where files of this run go (TMPDIR)
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import ssl
import sys
import tempfile
import tomllib
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any, NoReturn

STATE = Path("/var/lib/coverslip")
CACHE = Path("/var/cache/coverslip")
TOKENS = ("COVERSLIP_TOKEN", "BIOPB_TENSOR_TOKEN")
RULE = re.compile(r"[A-Za-z0-9_-]{16,128}")
HEALTH_S = 5


def fail(message: str) -> NoReturn:
    """End with one line."""
    sys.stderr.write(f"Error: {message}\n")
    raise SystemExit(2)


def say(message: str) -> None:
    """Tell who reads ``docker logs``."""
    sys.stderr.write(f"{message}\n")


def told(name: str, default: bool = False) -> bool:
    """A variable that is true or false."""
    value = os.environ.get(name, "").strip().lower() or str(default).lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off"):
        return False
    fail(f"{name} is {value!r}. Give true or false.")


def ports() -> tuple[int, int]:
    """Of HTTP and of Arrow Flight."""
    given = os.environ.get("BIOPB_BASE_PORT", "").strip() or "8810"
    if not given.isascii() or not given.isdecimal() or not 1 <= int(given) <= 65530:
        fail(f"BIOPB_BASE_PORT is {given!r}. Give a number from 1 to 65530: HTTP gets 4 more, Arrow Flight 5 more.")
    return int(given) + 4, int(given) + 5


def in_docker() -> bool:
    """Whether this is a container with a network of its own, of which only published ports can be reached."""
    apptainer = "APPTAINER_CONTAINER" in os.environ or "SINGULARITY_CONTAINER" in os.environ
    return not apptainer and (Path("/.dockerenv").exists() or Path("/run/.containerenv").exists())


def host() -> str:
    """The address to listen on."""
    if told("BIOPB_BIND_LOCALHOST"):
        if not in_docker():
            return "127.0.0.1"
        say("BIOPB_BIND_LOCALHOST is ignored: nobody could reach the container. Publish ports on the host's")
        say("loopback instead: docker run -p 127.0.0.1:8814:8814 -p 127.0.0.1:8815:8815")
    return "0.0.0.0"  # noqa: S104  (a container's own network, or a token is asked for)


def folders() -> None:
    """Where the server may write: its own folders, else those of the user, else of this run."""
    if os.environ.get("BIOPB_TMP"):
        os.environ["TMPDIR"] = os.environ["BIOPB_TMP"]
    for name, place in (("COVERSLIP_STATE_DIR", STATE), ("COVERSLIP_CACHE_DIR", CACHE)):
        if os.environ.get(name):
            continue
        own = place / f"user-{os.getuid()}"  # one image runs as whoever owns the data: docker run --user
        try:
            own.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.environ[name] = str(own)
        except OSError:
            if not os.access(os.environ.get("HOME", "/"), os.W_OK):
                os.environ[name] = temporary("coverslip-")


def temporary(prefix: str) -> str:
    """A new folder for this run."""
    try:
        return tempfile.mkdtemp(prefix=prefix)
    except OSError as error:
        fail(f"Nothing can be written: {error.strerror}. Give a folder: --tmpfs /tmp, or -e BIOPB_TMP=/some/folder")


def configured() -> tuple[list[str], dict[str, Any]]:
    """The arguments that say what is served, and the configuration's ``[server]``."""
    file = os.environ.get("CONFIG_FILE", "").strip()
    if file:
        try:
            text = Path(file).read_text("utf-8")
            given = json.loads(text) if file.endswith(".json") else tomllib.loads(text)
            server = given.get("server", {})
        except FileNotFoundError:
            fail(f"CONFIG_FILE is {file}, and there is no such file. Mount it: -v ./coverslip.toml:{file}:ro")
        except OSError as error:
            fail(f"CONFIG_FILE {file} cannot be read: {error.strerror}. Who may read it? See also --user.")
        except (ValueError, AttributeError) as error:
            fail(f"CONFIG_FILE {file} is not a configuration: {error}")
        return ["--config", file], server if isinstance(server, dict) else {}
    data = os.environ.get("DATA_DIR", "").strip() or "/data"
    if not Path(data).is_dir():
        fail(f"There is no folder {data}. Mount one: -v /path/to/your/data:{data}:ro, or set DATA_DIR.")
    if not os.access(data, os.R_OK | os.X_OK):
        fail(f"{data} may not be read by user {os.getuid()}. Run as who owns it: --user $(id -u):$(id -g)")
    folder = Path(temporary("coverslip-run-"))
    config = folder / "coverslip.toml"
    monitor = str(told("MONITOR", True)).lower()
    config.write_text(f"[[sources]]\nurl = {json.dumps(data, ensure_ascii=False)}\nmonitor = {monitor}\n", "utf-8")
    return ["--config", str(config)], {}


def token(server: dict[str, Any], address: str) -> None:
    """Make a token where none was given, and show it this once."""
    if told("BIOPB_WEB_DEV_BYPASS"):  # the server refuses it where others can reach
        return
    given = next((os.environ[name] for name in TOKENS if os.environ.get(name)), None) or server.get("token")
    if given:
        if not isinstance(given, str) or not RULE.fullmatch(given):
            fail("The token cannot be used: it needs 16 to 128 letters, digits, - or _. Leave it out to have one made.")
        say(f"Access URL: {address}  (asks for the token that was given)")
        return
    made = secrets.token_urlsafe(32)
    os.environ[TOKENS[0]] = made
    say(f"Access URL (shown once — do not share):\n  {address}#token={made}")


def address(http: int, server: dict[str, Any]) -> str:
    """The address of the page."""
    name = os.environ.get("BIOPB_EXTERNAL_HOST", "").strip() or socket.gethostname()
    return f"{scheme(server)}://{f'[{name}]' if ':' in name else name}:{http}/"


def scheme(server: dict[str, Any]) -> str:
    """How the page is reached."""
    encrypted = told("COVERSLIP_TLS") or os.environ.get("COVERSLIP_TLS_CERT") or server.get("tls")
    return "https" if encrypted or server.get("tls_cert") else "http"


def serve(arguments: list[str]) -> NoReturn:
    """Become the server."""
    http, flight = ports()
    listens = host()
    folders()
    given, server = configured()
    token(server, address(http, server))
    command = ["coverslip", "server", "start", "--foreground", *given]
    command += ["--web-host", listens, "--web-port", str(http), "--host", listens, "--port", str(flight), *arguments]
    sys.stderr.flush()
    # What it says on standard output repeats the address, with the token; what it logs goes to standard error.
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    run(command)


def run(command: list[str]) -> NoReturn:
    """Become another program: signals of the container's end reach it."""
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        fail(f"{command[0]} cannot be run: {error.strerror}.")


def health() -> NoReturn:
    """Ask the server on this machine; exit code 0 when it answers."""
    http, _ = ports()
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE  # it is this very container
    for way in ("http", "https"):
        try:
            url = f"{way}://127.0.0.1:{http}/readyz"
            with urllib.request.urlopen(url, timeout=HEALTH_S, context=trusting) as got:  # noqa: S310
                raise SystemExit(0 if got.status == 200 else 1)
        except (OSError, HTTPException) as error:
            said = error
    sys.stderr.write(f"{said}\n")
    raise SystemExit(1)


if __name__ == "__main__":
    if sys.argv[1:] == ["health"]:
        health()
    if sys.argv[1:] and not sys.argv[1].startswith("-"):
        run(sys.argv[1:])
    serve(sys.argv[1:])
