"""The files of ``deploy/`` as far as they can be judged without the machines they are for."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from coverslip.config import load
from coverslip.ports import FLIGHT_PORT

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "Dockerfile"
TOOLS = Path(sys.executable).parent


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, their lines joined."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^#.*\n", "", text))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def passes(*command: str | Path) -> None:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_passes_its_linter() -> None:
    passes(TOOLS / "hadolint", DOCKERFILE)


def test_the_image_is_what_the_documented_command_line_expects() -> None:
    found = instructions(DOCKERFILE.read_text())
    assert [rest.split()[0] for word, rest in found if word == "FROM"] == ["python:${PYTHON}-slim"] * 2, "two stages"
    last = found[[i for i, (word, _) in enumerate(found) if word == "FROM"][-1] :]
    told = dict(last)
    assert told["EXPOSE"].split() == ["8814", str(FLIGHT_PORT)]
    assert told["VOLUME"] == '["/data"]'
    assert told["USER"].split(":")[0].isdecimal()
    assert int(told["USER"].split(":")[0]) > 0
    assert '"health"' in told["HEALTHCHECK"]
    assert told["ENTRYPOINT"] == '["coverslip-entrypoint"]', "no shell between signals and the server"
    assert "TOKEN" not in DOCKERFILE.read_text(), "no secret is baked in"


def test_everything_the_build_copies_is_there_and_not_ignored() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    assert ignored[0] == "**"
    allowed = [line[1:] for line in ignored if line.startswith("!")]
    for word, rest in instructions(DOCKERFILE.read_text()):
        if word != "COPY" or "--from" in rest:
            continue
        *sources, _ = [part for part in rest.split() if not part.startswith("--")]
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source in allowed, source
    for name in re.findall(r'(?m)^(?:readme|license-files) = \[?"([^"]+)"', (ROOT / "pyproject.toml").read_text()):
        assert name in allowed, f"{name} is needed to build the wheel"


@pytest.mark.parametrize("script", ["deploy/slurm.sh", "scripts/deploy-tools"])
def test_scripts_pass_their_linter(script: str) -> None:
    passes("bash", "-n", ROOT / script)
    passes(TOOLS / "shellcheck", ROOT / script)


@pytest.mark.parametrize("file", sorted((DEPLOY / "examples").glob("*.toml")), ids=lambda path: path.stem)
def test_the_examples_are_configurations(file: Path) -> None:
    config = load(file)
    assert config.sources
    assert config.notes == ()


def test_the_service_starts_what_there_is() -> None:
    unit = (DEPLOY / "coverslip.service").read_text()
    command = re.search(r"(?m)^ExecStart=(.*)$", unit)
    assert command is not None
    words = shlex.split(command[1])
    help_text = subprocess.run(
        [sys.executable, "-c", "from coverslip.cli.main import main; main()", *words[1:3], "--help"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for flag in [word for word in words if word.startswith("--")]:
        assert flag in help_text, flag
    assert "StandardOutput=null" in unit, "the address with the token is not for the journal"
