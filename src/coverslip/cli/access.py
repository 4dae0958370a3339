"""The flags that say who may ask, the same for every command that serves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

FILE = click.Path(path_type=Path)


OPTIONS = {
    "token": click.option("--token", envvar=["COVERSLIP_TOKEN", "BIOPB_TENSOR_TOKEN"],
                          help="Ask every visitor for this token. Made up off loopback."),
    "read_token": click.option("--read-token", envvar="COVERSLIP_READ_TOKEN",
                               help="A second token that reads everything and changes nothing; auto makes one."),
    "allow_host": click.option("--allow-host", multiple=True, envvar="COVERSLIP_ALLOW_HOST",
                               help="Answer to this host name too."),
    "allow_origin": click.option("--allow-origin", multiple=True, envvar="COVERSLIP_ALLOW_ORIGIN",
                                 help="Let pages of this origin read the data."),
    "tls": click.option("--tls", is_flag=True, default=None, envvar="COVERSLIP_TLS",
                        help="Encrypt, with a certificate made for this purpose."),
    "tls_cert": click.option("--tls-cert", type=FILE, envvar="COVERSLIP_TLS_CERT", help="Encrypt with this one (PEM)."),
    "tls_key": click.option("--tls-key", type=FILE, envvar="COVERSLIP_TLS_KEY", help="Its key (PEM)."),
    "san": click.option("--san", multiple=True, envvar="COVERSLIP_SAN",
                        help="A further name for the certificate of --tls."),
    "trusted_proxy": click.option(
        "--trusted-proxy", multiple=True, envvar="COVERSLIP_TRUSTED_PROXY",
        help="Believe X-Forwarded-For, -Proto, -Host and -Prefix of this address or network."),
    "root_path": click.option("--root-path", metavar="PATH", envvar="COVERSLIP_ROOT_PATH",
                              help="The path prefix behind which a proxy offers this server."),
    "dev": click.option("--dev", is_flag=True, default=None, envvar=["COVERSLIP_DEV", "BIOPB_WEB_DEV_BYPASS"],
                        help="Ask for no token; refused where other machines can reach."),
}  # fmt: skip


def access_options(command: Callable[..., None]) -> Callable[..., Any]:
    """Give a command ``--token``, ``--allow-host``, ``--tls`` and their like; flags not given are None or empty."""
    return some_access_options(*OPTIONS)(command)


def some_access_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., Any]]:
    """Give a command some of them."""

    def given(command: Callable[..., None]) -> Callable[..., Any]:
        for name in reversed(names):
            command = OPTIONS[name](command)
        return command

    return given


def location_option(command: Callable[..., None]) -> Callable[..., Any]:
    """Give a command ``--external-location``; None where it is not given."""
    return click.option("--external-location", metavar="ADDRESS",
                        envvar=["COVERSLIP_EXTERNAL_LOCATION", "BIOPB_GRPC_EXTERNAL_LOCATION"],
                        help="Tell clients that they reach Arrow Flight from elsewhere at grpc://HOST:PORT.",
                        )(command)  # fmt: skip


def index_option(command: Callable[..., None]) -> Callable[..., Any]:
    """Give a command ``--no-index``; None where it is not given."""
    return click.option("--no-index", is_flag=True, default=None, envvar="COVERSLIP_NO_INDEX",
                        help="Make and use no gene indexes.")(command)  # fmt: skip


def more_option(command: Callable[..., None]) -> Callable[..., Any]:
    """Give a command ``--set``, for settings that have no flag of their own; it is called ``more``."""
    return click.option("--set", "more", metavar="KEY=VALUE", multiple=True,
                        help="Any other setting: --set server.read_threads=8.")(command)  # fmt: skip
