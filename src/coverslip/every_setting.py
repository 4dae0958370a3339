"""Every setting of a server by name: the flags, the variable and the key of the configuration file that say it.

Flags come before the environment, that before the file, that before the default. What has no flag of its own in a
command is said there with ``--set KEY=VALUE``. The reference's table is made of this, and so are its tests.
"""

from __future__ import annotations

from dataclasses import dataclass

COMMANDS = ("serve", "start", "ui")
NOWHERE = "-"
"""In the place of a flag: the command has no such setting."""


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes
    ----------
    key
        In the configuration file, ``table.key``; empty for what no file may say.
    serve, start, ui
        The option of ``coverslip serve``, ``coverslip server start`` and ``coverslip ui server`` as click names it;
        empty where it has none, `NOWHERE` where the setting means nothing.
    variables
        Of the environment, the first that is set counts. Where a command's option has variables, they are among these.
    field
        Of `coverslip.settings.Settings`, or of `coverslip.companion.Launch`.
    meaning
        One sentence, for what has no flag; else that of the flag.
    unit
        What a number counts.
    """

    key: str
    serve: str = ""
    start: str = ""
    ui: str = NOWHERE
    variables: tuple[str, ...] = ()
    field: str = ""
    meaning: str = ""
    unit: str = ""

    def option(self, command: str) -> str:
        """The name of a command's option, or what stands in its place."""
        found: str = getattr(self, command)
        return found


def _both(key: str, option: str, field: str = "", variables: tuple[str, ...] = (), ui: str = NOWHERE) -> Setting:
    """What is one option in both commands."""
    return Setting(key, option, option, ui, variables or (f"COVERSLIP_{option.upper()}",), field or option)


def _quiet(key: str, field: str, meaning: str, unit: str = "") -> Setting:
    """What has no flag: its variable is called as its key is."""
    table, _, name = key.partition(".")
    prefix = "" if table == "server" else f"{table.upper()}_"
    return Setting(key, "", "", NOWHERE, (f"COVERSLIP_{prefix}{name.upper()}",), field, meaning, unit)


def _ui(name: str, variable: str) -> Setting:
    return Setting(f"ui.{name}", NOWHERE, NOWHERE, name, (variable,), name)


SETTINGS = (
    Setting("server.web_host", "host", "web_host", NOWHERE, ("COVERSLIP_HOST", "COVERSLIP_WEB_HOST"), "host"),
    Setting("server.web_port", "port", "web_port", NOWHERE, ("COVERSLIP_PORT", "COVERSLIP_WEB_PORT"), "port"),
    Setting("server.flight_host", "", "host", NOWHERE, ("COVERSLIP_FLIGHT_HOST",), "flight_host",
            "Address of Arrow Flight; that of HTTP where nothing is said."),
    Setting("server.flight_port", "flight", "port", NOWHERE,
            ("COVERSLIP_FLIGHT", "COVERSLIP_FLIGHT_PORT"), "flight_port"),
    _both("server.external_location", "external_location",
          variables=("COVERSLIP_EXTERNAL_LOCATION", "BIOPB_GRPC_EXTERNAL_LOCATION")),
    _both("server.token", "token", variables=("COVERSLIP_TOKEN", "BIOPB_TENSOR_TOKEN"), ui="token"),
    _both("server.read_token", "read_token", ui="read_token"),
    _both("server.allow_hosts", "allow_host", "allow_hosts", ui="allow_host"),
    _both("server.allow_origins", "allow_origin", "allow_origins", ui="allow_origin"),
    _both("server.tls", "tls"),
    _both("server.tls_cert", "tls_cert"),
    _both("server.tls_key", "tls_key"),
    _both("server.san", "san", "tls_names"),
    _both("server.trusted_proxies", "trusted_proxy", "trusted_proxies", ui="trusted_proxy"),
    _both("server.root_path", "root_path", ui="root_path"),
    _both("", "dev", variables=("COVERSLIP_DEV", "BIOPB_WEB_DEV_BYPASS")),
    Setting("server.log_level", NOWHERE, "log_level", NOWHERE, ("COVERSLIP_LOG_LEVEL", "BIOPB_LOG_LEVEL"), "log_level"),
    _both("cache.gene_index", "no_index", "gene_index"),
    Setting("cells.latent_key", "latent_key", "", NOWHERE,
            ("COVERSLIP_LATENT_KEY",), "cells.latent_key", "obsm array in which outliers are measured."),
    Setting("cells.gene_id_column", "gene_id_column", "", NOWHERE,
            ("COVERSLIP_GENE_ID_COLUMN",), "cells.gene_id_column", "var column that names genes."),
    _quiet("server.read_threads", "read_threads", "How many reads run at once."),
    _quiet("server.slice_bytes", "slice_bytes", "The largest slice that is answered.", "bytes"),
    _quiet("server.monitor_mode", "", "`periodic`, or `off`: no disk is watched, all are looked at again and again."),
    _quiet("server.rescan_interval", "catalog.rescan_s", "How often a network disk is looked at.", "seconds"),
    _quiet("server.full_rescan_interval", "catalog.full_rescan_s",
           "How often a watched disk is looked at nevertheless.", "seconds"),
    _quiet("server.writable", "writable", "Whether arrays can be uploaded over Arrow Flight; needs `write_dir`."),
    _quiet("server.write_dir", "write_dir", "The folder that uploads are kept in."),
    _quiet("server.upload_ttl", "upload_ttl_s",
           "How long an upload may go without a chunk before it is discarded.", "seconds"),
    _quiet("server.add_source", "add_source", "Whether who has the token may offer further files of this machine."),
    _quiet("cache.max_bytes", "cache_bytes", "Memory for answers kept ready.", "bytes"),
    _quiet("cache.file_max_total_gb", "disk_bytes",
           "Disk space for levels of images that their files do not store, and as much for gene indexes.", "GiB"),
    _quiet("cache.persist", "catalog.persist", "Whether the list of sources is kept, so that a restart lists at once."),
    _quiet("metadata_db.max_query_results", "catalog.query_rows", "Rows that a query in SQL may give."),
    _quiet("metadata_db.query_timeout_ms", "catalog.query_s", "Time that a query may take.", "milliseconds"),
    _quiet("metadata_db.max_memory_mb", "catalog.query_mib",
           "Memory of queries beside what the list itself takes.", "MiB"),
    _ui("port", "COVERSLIP_UI_PORT"),
    _ui("root_dir", "COVERSLIP_UI_ROOT"),
    _ui("host", "COVERSLIP_UI_HOST"),
    _ui("engine", "COVERSLIP_UI_ENGINE"),
    _ui("store", "COVERSLIP_HSDS_STORE"),
    _ui("nodes", "COVERSLIP_HSDS_NODES"),
    _ui("cache_mb", "COVERSLIP_HSDS_CACHE_MB"),
)  # fmt: skip
OLDER = {"server.web_host": "server.host", "server.web_port": "server.port"}
"""Keys of the same in ``coverslip serve``; in ``coverslip server start`` they are of Arrow Flight, as in biopb."""

OTHERS = {
    "COVERSLIP_CONFIG": "The configuration file, as `--config`.",
    "COVERSLIP_CACHE_DIR": "The folder of what was worked out and is kept; the user's own cache folder without it.",
    "CELLUCID_WEB_PROXY_CACHE_DIR": "The same, for a folder that users share; each has one of their own in it.",
    "COVERSLIP_STATE_DIR": "The folder of the background server's record, log and token, and of certificates.",
    "COVERSLIP_JUPYTER_PATHS": "What Jupyter's launcher serves, as in a shell; without it the folder Jupyter runs in.",
    "COVERSLIP_URL": "The server that the client asks.",
    "BIOPB_TENSOR_URL": "The same, as biopb's client names it.",
    "BIOPB_TENSOR_SERVER": "Its older name.",
    "COVERSLIP_TLS_CA": "Whom the client trusts: a file in PEM.",
    "BIOPB_TENSOR_TLS_CA": "The same, as biopb's client names it.",
    "COVERSLIP_TLS_FINGERPRINT": "Whom the client trusts: the SHA-256 that a server prints.",
    "BIOPB_TENSOR_TLS_FINGERPRINT": "The same, as biopb's client names it.",
    "COVERSLIP_HSDS_PYTHON": "The Python in which HSDS is installed, where it is not coverslip's own choice.",
    "CELLUCID_CLIENT_SERVER_URL": "The address under which a notebook's page reaches its server, as for cellucid.",
    "COVERSLIP_SSH": "How `coverslip connect` calls ssh.",
}
"""Variables that say something else than how a server is."""


def of_command(command: str) -> tuple[Setting, ...]:
    """The settings that mean something to a command (``serve``, ``start`` or ``ui``)."""
    return tuple(setting for setting in SETTINGS if setting.option(command) != NOWHERE)


def without_flag(command: str) -> dict[str, Setting]:
    """By key, those that a command has no flag for."""
    return {setting.key: setting for setting in of_command(command) if not setting.option(command)}
