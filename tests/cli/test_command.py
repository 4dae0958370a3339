"""The command line and the public package, in processes of their own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import coverslip
import make


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


def test_help_imports_no_library_but_click() -> None:
    code = "from coverslip.cli.main import cli\ntry: cli(['--help'])\nexcept SystemExit: pass"
    assert loaded_by(code).isdisjoint(HEAVY | IMAGES)


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
    assert loaded.isdisjoint(IMAGES)


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
