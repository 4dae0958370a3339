"""The command line and the public package, in processes of their own."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import coverslip
import make
from coverslip import __main__ as entry
from coverslip.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run("-c", "from coverslip.cli.main import main; main()", *arguments)


def loaded_by(code: str) -> set[str]:
    listed = run("-c", f"{code}\nimport sys; print(*sorted(sys.modules))")
    assert listed.returncode == 0, listed.stderr
    return set(listed.stdout.split())


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        body: bytes = answer.read()
        return body


HEAVY = {"numpy", "h5py", "starlette", "uvicorn", "anndata", "pandas", "scipy"}
IMAGES = {
    "bioio", "czifile", "dask", "duckdb", "imagecodecs", "indexed_gzip", "liffile", "mrcfile", "nd2", "ndtiff",
    "nibabel", "obstore", "pydicom", "pylibCZIrw", "tensorstore", "tifffile", "xarray", "zarr",
}  # fmt: skip


def test_importing_the_package_imports_nothing_else() -> None:
    assert loaded_by("import coverslip").isdisjoint({*HEAVY, *IMAGES, "click"})


UNASKED = {
    "tomllib", "webbrowser", "coverslip.domains.analysis", "coverslip.domains.differential",
    "coverslip.domains.group_statistics", "coverslip.domains.gene_scores", "coverslip.engine.annotations",
    "coverslip.engine.upload", "coverslip.formats.trees.dicom_series", "coverslip.formats.trees.dicom_planes",
    "coverslip.writable", "coverslip.companion_app", "coverslip.shared", "coverslip.core.typed",
    "coverslip.engine.files", "coverslip.engine.certificate", "coverslip.engine.dialogue", "coverslip.domains.networks",
    "coverslip.fronts.hsds.front", "coverslip.fronts.h5grove.front", "coverslip.fronts.networks.front",
    "coverslip.formats.trees.dicom_header", "importlib.metadata",
}  # fmt: skip
"""What a server of one file needs for nothing that was asked yet."""


def test_help_imports_no_library_but_click() -> None:
    helps = [["--help"], *([name, "--help"] for name in COMMANDS)]
    code = (
        "import sys\nfrom coverslip.cli.main import cli\n"
        f"for words in {helps!r}:\n"
        "    try: cli.main(words, prog_name='coverslip')\n"
        "    except SystemExit: pass\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    listed = run("-c", code)
    assert listed.returncode == 0
    assert all(f"coverslip {name}" in listed.stdout for name in COMMANDS)
    # The version alone asks what is installed.
    assert set(listed.stderr.split()).isdisjoint(
        HEAVY | IMAGES | {"asyncio", "msgspec", "sqlite3", "coverslip.settings"}
    )


def test_finding_formats_imports_no_file_library() -> None:
    assert loaded_by("from coverslip.formats import formats; formats()").isdisjoint(IMAGES | {"h5py"})


def test_serving_cells_imports_no_library_of_images(tmp_path: Path) -> None:
    """Until the file was opened, described and listed; Python itself tells what it imports."""
    path = tmp_path / "x.h5ad"
    make.adata().write_h5ad(path)
    arguments = ["serve", str(path), "--port", "0", "--no-browser"]
    code = "from coverslip.cli.main import main; main()"
    with (tmp_path / "told").open("w") as told:
        command = [sys.executable, "-X", "importtime", "-c", code, *arguments]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told, text=True)
    try:
        assert server.stdout is not None
        url = next(found[0] for line in server.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        deadline = time.monotonic() + 30
        while json.loads(fetched(f"{url}/api/sources"))[0]["status"] != "ready":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert fetched(f"{url}/_cellucid/health")
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=20)
    loaded = {line.rpartition("|")[2].strip() for line in (tmp_path / "told").read_text().splitlines()}
    assert "h5py" in loaded
    assert sorted(loaded & (IMAGES | UNASKED)) == []


def test_serving_needs_no_anndata() -> None:
    assert loaded_by("import coverslip.server, coverslip.formats.h5ad").isdisjoint({"anndata", "pandas", "scipy"})


def test_public_names_are_what_can_be_imported() -> None:
    assert sorted(coverslip.__all__) == coverslip.__all__
    for name in coverslip.__all__:
        assert getattr(coverslip, name) is not None
    with pytest.raises(AttributeError, match="nope"):
        _ = coverslip.nope  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("serve", "/no/such/file.h5ad"), 1, "Path not found: /no/such/file.h5ad"),
        (("serve",), 2, "Missing argument"),
        (("serve", "x", "--port", "abc"), 2, "abc"),
        (("nonsense",), 2, "nonsense"),
        (("serve", "--nonsense", "x"), 2, "--nonsense"),
    ],
)
def test_mistakes_end_with_a_line_and_a_code(arguments: tuple[str, ...], code: int, words: str) -> None:
    done = command(*arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_option(tmp_path: Path) -> None:
    told = command("serve", "--help")
    assert told.returncode == 0
    for option in (
        "--host",
        "--port",
        "--no-browser",
        "--quiet",
        "--verbose",
        "--token",
        "--allow-host",
        "--allow-origin",
    ):
        assert option in told.stdout


def test_an_unforeseen_failure_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from coverslip.cli import main as module

    def broken(**_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(module.cli, "main", broken)
    monkeypatch.setattr(sys, "argv", ["coverslip"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1


ODD_PATHS = [
    ("fifo", "is neither a file nor a folder"),
    ("circle", "is a link that leads nowhere"),
    ("nowhere", "is a link that leads nowhere"),
    ("empty.h5ad", "is an empty file"),
    ("empty.dcm", "is an empty file"),
    ("empty.zip", "is an empty file"),
    ("text.docx", "It opens .ccp4"),
    ("x" * 5000, "File name too long"),
    ("a\nb\x1b[31m.h5ad", "a b\\x1b[31m.h5ad"),
    ("text.docx/more", "Path not found"),
]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    os.mkfifo(folder / "fifo")
    (folder / "circle").symlink_to("circle")
    (folder / "nowhere").symlink_to("gone")
    (folder / "text.docx").write_text("words")
    for name in ("empty.h5ad", "empty.dcm", "empty.zip"):
        (folder / name).touch()
    return folder


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit code and what stands on stderr; in this process, which is quicker."""
    from coverslip.cli.main import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["coverslip", *arguments])
        patch.setattr("warnings.simplefilter", lambda _: None)
        with pytest.raises(SystemExit) as ended:
            main()
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name, _ in ODD_PATHS])
@pytest.mark.parametrize("what", ["serve", "prepare"])
def test_odd_paths_are_told_in_one_line(
    odd: Path, what: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = [str(tmp_path / "out")] if what == "prepare" else ["--no-browser", "--port", "0"]
    code, said = told(capsys, what, str(odd / name), *rest)
    assert code == 1
    assert said.startswith("Error: ")
    assert said.count("\n") == 1
    assert "--verbose" not in said
    assert dict(ODD_PATHS)[name] in said


def test_an_empty_path_is_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = told(capsys, "serve", "", "--no-browser", "--port", "0")
    assert code == 2
    assert "A PATH is empty" in said


def test_a_misspelled_command_is_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = told(capsys, "serv")
    assert code == 2
    assert "Did you mean 'serve'?" in said


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["{here}/empty.h5ad"], "Did you mean: coverslip serve {here}/empty.h5ad"),
        (["s3://bucket/a.zarr", "--no-browser"], "Did you mean: coverslip serve s3://bucket/a.zarr --no-browser"),
        (["tensor", "quer"], "Did you mean 'query'?"),
        (["server", "strat"], "Did you mean 'start'?"),
        (["nothing.h5ad"], "No such command 'nothing.h5ad'. There are: serve, "),
        (["tensor", "list"], "No such command 'list'. There are: get, metadata, query, stats."),
    ],
)
def test_what_was_meant(odd: Path, capsys: pytest.CaptureFixture[str], words: list[str], meant: str) -> None:
    code, said = told(capsys, *(word.format(here=odd) for word in words))
    assert code == 2
    assert meant.format(here=odd) in said.splitlines()[-1]


def test_ctrl_c_while_the_command_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "coverslip.cli.main":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "coverslip.cli.main")
    monkeypatch.delattr("coverslip.cli.main")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 130
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts["coverslip"] == "coverslip.__main__:main"


def test_a_server_goes_on_when_nobody_reads_what_it_says(tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", np.zeros((5, 2)))
    words = [sys.executable, "-m", "coverslip", "serve", str(tmp_path), "--port", "0", "--no-browser"]
    reader, writer = os.pipe()
    with subprocess.Popen(words, stdout=writer, stderr=subprocess.PIPE, text=True) as process:
        os.close(writer)
        try:
            said = b""
            while b"\n\n" not in said.partition(b"http")[2]:
                said += os.read(reader, 1)
            os.close(reader)
            url = said.split()[-1].decode()
            end = time.monotonic() + PATIENCE_S
            while json.loads(fetched(f"{url}api/catalog"))["scanned"] is not True:
                assert time.monotonic() < end
                time.sleep(0.05)
            assert json.loads(fetched(f"{url}api/sources"))[0]["name"] == "points.npy"
        finally:
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            assert process.stderr.read().strip() == ""
        assert process.wait(PATIENCE_S) == 130


def test_what_the_system_refuses_is_told_in_its_words(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from coverslip.cli import main as module

    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "x"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.cli, "main", full)
        code, said = told(capsys)
    assert (code, said) == (1, f"Error: {tmp_path / 'x'}: No space left on device\n")


def test_found_sources_are_told_in_words() -> None:
    from coverslip.cli.serve import summary

    counts = {"sources": 3, "by_kind": {"arrays": 1, "cells": 2}, "failed": 1}
    assert summary(counts) == "3 sources: 1 array, 2 data sets of cells; 1 could not be read."
