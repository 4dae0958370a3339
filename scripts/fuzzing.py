"""The long form of ``tests/test_fuzz.py``: each parser in a process of its own, for as long as it is asked to.

A process has 4 GB of memory, and 20 s for any one input. Inputs that end in an error that is not ours are kept in
``.cache/fuzz/NAME-DIGEST``; what a process looked at last, when it went or hung, is ``.cache/fuzz/NAME.last``.
Files that parsers write lie in memory where the machine has such a folder: a disk is several times slower.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import os
import re
import resource
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).parents[1]
FOUND = ROOT / ".cache" / "fuzz"
IN_MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 << 30
PATIENCE_S = 20
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("names", nargs="*", metavar="NAME", help="parsers; all of them when left out")
    words.add_argument("--minutes", type=float, default=10, help="in all (10)")
    words.add_argument("--seed", type=int, help="of the random numbers; another one each time when left out")
    words.add_argument("--engine", choices=("atheris", "hypothesis"), help="atheris where it is installed")
    given = words.parse_args()
    engine = given.engine or ("atheris" if importlib.util.find_spec("atheris") else "hypothesis")
    there = parsers(instrumented=engine == "atheris")
    names = given.names or sorted(there)
    if unknown := set(names) - set(there):
        print(f"There is no {', '.join(sorted(unknown))}; there is {', '.join(sorted(there))}.", file=sys.stderr)
        return 2
    FOUND.mkdir(parents=True, exist_ok=True)
    before = set(FOUND.iterdir())
    for name in names:
        with tempfile.TemporaryDirectory(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None) as folder:
            tempfile.tempdir = folder
            apart(name, there[name], given.minutes * 60 / len(names), given.seed, engine)
    new = [path for path in set(FOUND.iterdir()) - before if path.is_file()]
    found = sorted(path for path in new if path.suffix not in (".last", ".log"))
    print(f"{len(names)} parsers, {len(found)} kinds of faults" + "".join(f"\n  {path}" for path in found))
    return 1 if found else 0


def parsers(instrumented: bool) -> dict[str, Any]:
    """Every parser; as atheris wants it, each line of ours tells that it was reached."""
    if not instrumented:
        from every_parser import ALL

        return ALL
    import atheris

    with atheris.instrument_imports(include=["coverslip"]):
        return parsers(instrumented=False)


def apart(name: str, parse: Any, seconds: float, seed: int | None, engine: str) -> None:
    """One parser in a process of its own, which has loaded everything already."""
    log = FOUND / f"{name}.log"
    child = os.fork()
    if not child:
        told = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(told, 2)  # libFuzzer talks a lot
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        warnings.simplefilter("error")
        (by_atheris if engine == "atheris" else by_hypothesis)(Look(name, parse), seconds, seed)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if runs := re.findall(r"^Done (\d+) runs", log.read_text("utf-8", "replace"), re.MULTILINE):
        print(f"{name}: {int(runs[-1]):,} inputs", flush=True)
    if code := os.waitstatus_to_exitcode(status):
        last = FOUND / f"{name}.last"
        print(f"{name}: ended with {code}, see {log}; what it looked at is in {last}", flush=True)


class Look:
    """One parser, and what it was found to do.

    Parameters
    ----------
    name, parse
        The parser.
    """

    def __init__(self, name: str, parse: Any) -> None:
        from coverslip.core.errors import CoverslipError
        from mutation import digest, kept

        self.name, self.parse = name, parse
        self.refused, self.digest = CoverslipError, digest
        self.seeds = list(kept(name).values())
        self.count = 0
        self.seen: set[tuple[Any, ...]] = set()
        self.last = os.open(FOUND / f"{name}.last", os.O_RDWR | os.O_CREAT | os.O_TRUNC)

    def __call__(self, data: bytes) -> None:
        """Look at one input; the first of each kind of fault is kept."""
        self.count += 1
        os.pwrite(self.last, data, 0)  # known even when the interpreter itself goes
        os.ftruncate(self.last, len(data))
        faulthandler.dump_traceback_later(PATIENCE_S, exit=True)
        try:
            self.parse(data)
        except self.refused:
            pass
        except Exception as error:  # noqa: BLE001  (every one is a find)
            frames = traceback.extract_tb(error.__traceback__)
            kind = (type(error), frames[-1].filename, frames[-1].lineno)
            if kind not in self.seen:
                self.seen.add(kind)
                path = FOUND / f"{self.name}-{self.digest(data)}"
                path.write_bytes(data)
                print(f"{path}\n{''.join(traceback.format_exception(error)[-6:])}", flush=True)
        finally:
            faulthandler.cancel_dump_traceback_later()


def by_hypothesis(look: Look, seconds: float, seed: int | None) -> None:
    """Inputs made of what is kept."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    from mutation import mutated

    end, number = time.monotonic() + seconds, seed if seed is not None else time.time_ns() % (1 << 32)
    plain = settings(
        max_examples=500, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    while time.monotonic() < end:
        seeded(number)(plain(given(mutated(look.seeds))(lambda data: look(data) if time.monotonic() < end else None)))()
        number += 1
    print(f"Done {look.count} runs", file=sys.stderr, flush=True)


def by_atheris(look: Look, seconds: float, seed: int | None) -> None:
    """Inputs that libFuzzer chooses by which lines of ours they reach."""
    import atheris

    flags = [f"-max_total_time={max(1, round(seconds))}", "-max_len=65536", f"-artifact_prefix={FOUND}/{look.name}-"]
    flags += [f"-seed={seed}"] if seed is not None else []
    grown = FOUND / "grown" / look.name
    grown.mkdir(parents=True, exist_ok=True)
    there = [str(grown), str(ROOT / "tests" / "corpus" / look.name)]
    atheris.Setup([sys.argv[0], *flags, *there], look, custom_mutator=nearly)
    atheris.Fuzz()


def nearly(data: bytes, most: int, seed: int) -> bytes:
    """A document with other members half of the time, else bytes as libFuzzer changes them."""
    import atheris

    from mutation import document_changed

    changed = document_changed(data, Random(seed)) if seed % 2 else None
    return atheris.Mutate(data, most) if changed is None or len(changed) > most else changed


if __name__ == "__main__":
    sys.exit(main())
