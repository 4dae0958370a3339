"""The status of the server in the background, for programs and for people."""

from __future__ import annotations

import time
from typing import Any

from coverslip.cli.table import table
from coverslip.daemon import health
from coverslip.daemon.places import Places
from coverslip.daemon.record import Known


def asked(now: Known, places: Places) -> dict[str, Any]:
    """The status as JSON tells it; `docs/reference/server.md` names the keys."""
    told: dict[str, Any] = {
        "running": now.running,
        "pid": now.identity.pid if now.running and now.identity is not None else None,
        "status": now.state,
        "health": None,
        "source_count": None,
        "writable": None,
        "uptime_seconds": None,
        "http": None,
        "grpc": None,
        "scan": None,
        "config": None,
        "version": None,
    }
    if not now.running:
        return told
    if now.record is None:
        return {**told, "health": "STARTING"}
    found, about = health.counts(now.record, places), now.record
    told |= {
        "health": "unreachable",
        "writable": about.writable,
        "uptime_seconds": int(max(0.0, time.time() - about.started)),
        "http": about.http,
        "grpc": about.grpc,
        "config": about.config,
        "version": about.version,
    }
    if found is not None:
        scan = {
            "scanned": found["scanned"],
            "scanning": found["scanning"],
            "pending": found["by_status"].get("pending", 0),
            "failed": found["failed"],
        }
        told |= {"health": "SERVING" if scan["scanned"] else "STARTING", "source_count": found["sources"], "scan": scan}
    return told


def waiting(told: dict[str, Any]) -> str:
    """What ``--wait`` waits for."""
    if told["source_count"] is None:
        return "waiting for the data server to come up..."
    return f"data server starting - {told['source_count']} source(s) found so far..."


def shown(now: Known, told: dict[str, Any], places: Places) -> str:
    """The status as a table."""
    files = [("PID file", str(places.pid)), ("Log file", str(places.log))]
    if now.state == "running":
        scan = told["scan"]
        rows = [
            ("Status", "Running"),
            ("PID", str(told["pid"])),
            ("Health", told["health"]),
            ("Sources", "-" if told["source_count"] is None else str(told["source_count"])),
            ("Scan", "-" if scan is None else progress(scan)),
            ("Uptime", "-" if told["uptime_seconds"] is None else duration(told["uptime_seconds"])),
            ("Writable", "-" if told["writable"] is None else "Yes" if told["writable"] else "No"),
            ("HTTP", told["http"] or "-"),
            ("gRPC", told["grpc"] or "-"),
            ("Config", told["config"] or "-"),
            *files,
        ]
    elif now.state == "stale":
        rows = [("Status", "Not running (stale PID)"), ("PID file", f"{places.pid} (stale)")]
    elif now.state == "elsewhere":
        rows = [("Status", f"Not on this machine (started on {now.node})"), *files]
    else:
        rows = [("Status", "Not running")]
    return table("TensorFlight Server Status", ("Property", "Value"), rows)


def progress(scan: dict[str, Any]) -> str:
    """How far the look at all folders is."""
    doing = "Looking" if scan["scanning"] or not scan["scanned"] else "Done"
    waits = f"{scan['pending']:,} to be opened" if scan["pending"] else ""
    failed = f"{scan['failed']:,} cannot be read" if scan["failed"] else ""
    return ", ".join(filter(None, (doing, waits, failed)))


def duration(seconds: int) -> str:
    """``6s``, ``3m 20s``, ``2h 5m``, ``4d 1h``."""
    units = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    first = next((i for i, (n, _) in enumerate(units) if n), 3)
    return " ".join(f"{n}{unit}" for n, unit in units[first : first + 2])
