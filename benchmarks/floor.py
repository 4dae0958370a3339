"""The floor for bytes: what nginx takes to hand out, as plain files, the same bytes that coverslip answers.

A small answer (health), a million cells' points (8 MB) and one gene of them (4 MB), an OME-Zarr chunk as stored, the
page's script; 1, 8 and 64 clients, one process with so many connections that shares the cores with the server.
Answers a second, and the processor time that a server takes for one. nginx is no peer: it knows nothing of cells and
images, and somebody has to write every file first. It says what a request costs at least.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from contextlib import ExitStack
from pathlib import Path

from measuring import DATA
from measuring.clients import asked
from measuring.results import OURS, Table, arguments, given, publish
from measuring.servers import Server, coverslip, nginx, nginx_command, nginx_version
from sizes_arrays import NGINX, of_clients
from sizes_arrays import data as array
from sizes_cells import data as cells
from sizes_cells import indexed

CELLS, QUICK_CELLS = 1_000_000, 2_000
PLANES, QUICK_PLANES = 12, 2
CLIENTS, QUICK_CLIENTS = [1, 8, 64], [1, 4]
SECONDS, QUICK_SECONDS = 1.0, 0.2


def script(server: Server) -> str:
    """The script of the page."""
    found = re.search(r"assets/[\w.-]+\.js", server.get("/", Accept="text/html").decode())
    return f"/{found[0]}" if found else "/"


def wanted(server: Server, planes: int) -> dict[str, list[str]]:
    """Paths of coverslip by what they are."""
    chunks = [f"/zarr/array_{planes}/0/c/{z}/{y}/{x}" for z in range(planes) for y in range(4) for x in range(4)]
    return {
        "health": ["/_cellucid/health"],
        "points": ["/points_2d.bin"],
        "a gene": ["/var/var7.values.f32"],
        "chunks": chunks,
        "a script": [script(server)],
    }


def written(server: Server, paths: list[str], folder: Path) -> int:
    """Put a server's answers into files of the same names; the size of one."""
    for path in paths:
        file = folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(server.get(path))
    return (folder / paths[0].lstrip("/")).stat().st_size


def measured(args: argparse.Namespace) -> list[Table]:
    """Both servers in turn, one after the other for each question."""
    names = [OURS, NGINX] if nginx_command() else [OURS]
    rates, costs = Table("answers a second", names), Table("the server's processor time for an answer", names)
    points = cells(QUICK_CELLS if args.quick else CELLS)
    planes = QUICK_PLANES if args.quick else PLANES
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=DATA.parent)))
        folder.chmod(0o755)
        one = stack.enter_context(coverslip(points, ready="/_cellucid/health"))
        two = stack.enter_context(coverslip(array(planes, planes), ready=f"/zarr/array_{planes}/zarr.json"))
        one.get("/var/var3.values.f32")
        indexed(one)
        asked_for = wanted(one, planes)
        ours = {what: two if what == "chunks" else one for what in asked_for}
        sizes = {what: written(ours[what], paths, folder) for what, paths in asked_for.items()}
        floor = stack.enter_context(nginx(folder, "/_cellucid/health")) if nginx_command() else None
        for _ in range(args.rounds):
            for what, paths in asked_for.items():
                for clients in QUICK_CLIENTS if args.quick else CLIENTS:
                    for name, server in ((OURS, ours[what]), (NGINX, floor)):
                        if server is None:
                            continue
                        before = server.processor_s()
                        found = asked(server.port, paths, clients, QUICK_SECONDS if args.quick else SECONDS)
                        took = server.processor_s() - before
                        size = sizes[what]
                        row = f"{what}, {size / 1e6:.1f} MB" if size > 1e6 else f"{what}, {max(size / 1e3, 0.1):.1f} kB"
                        rates.note(f"{row}, {of_clients(clients)}", "/s", name, found.per_s)
                        costs.note(f"{row}, {of_clients(clients)}", "µs", name, took / len(found.milliseconds) * 1e6)
    return [rates, costs]


def main() -> None:
    """Measure and publish."""
    args = given(arguments(__doc__))
    publish("floor", measured(args), {NGINX: nginx_version()} if nginx_command() else {}, args)


if __name__ == "__main__":
    main()
