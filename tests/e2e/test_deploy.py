"""A container's entry point, a service of systemd, TLS of our own: with real programs."""

from __future__ import annotations

import json
import re
import shlex
import socket
import ssl
import subprocess
import time
from pathlib import Path

import deployed
import pytest
from conftest import PATIENCE_S, run, visitor, wait_for
from deployed import (
    BEARER,
    DEPLOY,
    TOKEN,
    Begin,
    Process,
    answers,
    ask,
    biopb_reads,
    flight_sources,
    surroundings,
    tool,
)
from playwright.sync_api import Browser, expect
from surroundings import free_pair

coverslip = deployed.coverslip
volume = deployed.volume
data = deployed.data
pixels = deployed.pixels
begin = deployed.begin


class TestContainer:
    """``deploy/entrypoint.py`` as a plain process, with the environment of ``docker run``."""

    def starts(
        self, begin: Begin, coverslip: Path, folder: Path, *arguments: str, **environment: str
    ) -> tuple[Process, int]:
        base = free_pair() - 4
        env = surroundings(coverslip, folder, BIOPB_BASE_PORT=str(base), **environment)
        return begin(coverslip.parent / "python", DEPLOY / "entrypoint.py", *arguments, **env), base + 4

    def test_the_documented_line(self, begin: Begin, coverslip: Path, data: Path, tmp_path: Path) -> None:
        server, http = self.starts(begin, coverslip, tmp_path, DATA_DIR=str(data), BIOPB_TENSOR_TOKEN=TOKEN)
        here = f"http://127.0.0.1:{http}"
        wait_for(lambda: server.process.poll() is not None or answers(here), "the container's server")
        wait_for(lambda: json.loads(ask(f"{here}/api/catalog", **BEARER)[1])["sources"] == 1, "the data of the mount")
        assert ask(f"{here}/api/catalog")[0] == 401
        assert '"what a lab has' in flight_sources(coverslip, f"grpc://127.0.0.1:{http + 1}", TOKEN)
        assert "refused FlightUnauthenticatedError" in flight_sources(
            coverslip, f"grpc://127.0.0.1:{http + 1}", "x" * 16
        )
        env = surroundings(coverslip, tmp_path, BIOPB_BASE_PORT=str(http - 4))
        run(coverslip.parent / "python", DEPLOY / "entrypoint.py", "health", env=env)
        assert server.stop() == 0, "docker stop ends it in time, and well"
        done = subprocess.run(
            [coverslip.parent / "python", DEPLOY / "entrypoint.py", "health"], env=env, check=False, capture_output=True
        )
        assert done.returncode == 1
        assert TOKEN not in "".join(server.out + server.err)
        assert f"http://{socket.gethostname()}:{http}/" in "".join(server.err)

    def test_a_token_is_made_and_shown_once(self, begin: Begin, coverslip: Path, data: Path, tmp_path: Path) -> None:
        server, http = self.starts(
            begin, coverslip, tmp_path, DATA_DIR=str(data), BIOPB_EXTERNAL_HOST="lab.example.org"
        )
        wait_for(lambda: answers(f"http://127.0.0.1:{http}"), "the server")
        text = "".join(server.out + server.err)
        [token] = re.findall(rf"http://lab\.example\.org:{http}/#token=([A-Za-z0-9_-]{{43}})\n", text)
        assert "Access URL (shown once — do not share):" in text
        assert ask(f"http://127.0.0.1:{http}/api/catalog", Authorization=f"Bearer {token}")[0] == 200
        server.stop()
        assert "".join(server.out + server.err).count(token) == 1

    def test_a_shared_node_asks_for_a_token_on_loopback_too(
        self, begin: Begin, coverslip: Path, data: Path, tmp_path: Path
    ) -> None:
        apptainer = {"BIOPB_BIND_LOCALHOST": "true", "APPTAINER_CONTAINER": "/images/coverslip.sif"}
        server, http = self.starts(begin, coverslip, tmp_path, DATA_DIR=str(data), MONITOR="false", **apptainer)
        wait_for(lambda: answers(f"http://127.0.0.1:{http}"), "the server")
        assert ask(f"http://127.0.0.1:{http}/api/catalog")[0] == 401
        listening = Path("/proc/net/tcp").read_text()
        assert f"0100007F:{http:04X} 00000000:0000 0A" in listening
        assert f"00000000:{http:04X} 00000000:0000 0A" not in listening
        assert f"00000000:{http + 1:04X} 00000000:0000 0A" not in listening, "Flight is not open either"
        server.stop()

    def test_a_configuration_of_ones_own_with_tls(
        self, begin: Begin, coverslip: Path, data: Path, tmp_path: Path
    ) -> None:
        config = tmp_path / "own.toml"
        config.write_text(f'[server]\ntls = true\ntoken = "{TOKEN}"\n[[sources]]\nurl = {json.dumps(str(data))}\n')
        server, http = self.starts(begin, coverslip, tmp_path, CONFIG_FILE=str(config))
        here, state = f"https://127.0.0.1:{http}", tmp_path / "state" / "tls-certificate.pem"
        wait_for(state.exists, "the certificate")
        trusting = ssl.create_default_context(cafile=str(state))
        wait_for(lambda: answers(here, trusting), "the server")
        assert ask(f"{here}/api/catalog", trusting, **BEARER)[0] == 200
        env = surroundings(coverslip, tmp_path, BIOPB_BASE_PORT=str(http - 4))
        run(coverslip.parent / "python", DEPLOY / "entrypoint.py", "health", env=env)
        assert '"what a lab has' in flight_sources(coverslip, f"grpc+tls://127.0.0.1:{http + 1}", TOKEN, state)
        assert TOKEN not in "".join(server.out + server.err)
        server.stop()

    def test_another_command(self, coverslip: Path, tmp_path: Path) -> None:
        env = surroundings(coverslip, tmp_path)
        done = run(coverslip.parent / "python", DEPLOY / "entrypoint.py", "coverslip", "--version", env=env)
        assert done.stdout.startswith("coverslip ")

    @pytest.mark.parametrize(
        ("environment", "words"),
        [
            ({"DATA_DIR": "/no/such/folder"}, "There is no folder /no/such/folder"),
            ({"BIOPB_BASE_PORT": "eight"}, "BIOPB_BASE_PORT is 'eight'"),
            ({"BIOPB_BASE_PORT": "65533"}, "from 1 to 65530"),
            ({"BIOPB_TENSOR_TOKEN": "short"}, "The token cannot be used"),
            ({"MONITOR": "perhaps"}, "MONITOR is 'perhaps'"),
            ({"CONFIG_FILE": "/no/such.toml"}, "there is no such file"),
            ({"CONFIG_FILE": str(DEPLOY / "nginx.conf")}, "is not a configuration"),
            ({"BIOPB_WEB_DEV_BYPASS": "true"}, "can be reached from other machines"),
        ],
    )
    def test_what_cannot_be(
        self, coverslip: Path, data: Path, tmp_path: Path, environment: dict[str, str], words: str
    ) -> None:
        env = surroundings(coverslip, tmp_path, **{"DATA_DIR": str(data), **environment})
        command = [coverslip.parent / "python", DEPLOY / "entrypoint.py"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert "short" not in done.stderr or "short" in words


class TestService:
    def unit(self, folder: Path, coverslip: Path) -> Path:
        text = (DEPLOY / "coverslip.service").read_text()
        assert "/opt/coverslip/bin/coverslip" in text
        file = folder / "coverslip.service"
        file.write_text(text.replace("/opt/coverslip/bin/coverslip", str(coverslip)))
        return file

    def test_systemd_understands_it(self, coverslip: Path, tmp_path: Path) -> None:
        done = subprocess.run(
            [tool("systemd-analyze"), "verify", "--man=no", self.unit(tmp_path, coverslip)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")

    def test_little_is_exposed(self, coverslip: Path, tmp_path: Path) -> None:
        analyze = [tool("systemd-analyze"), "security", "--offline=true", "--no-pager", "--threshold=20"]
        done = subprocess.run([*analyze, self.unit(tmp_path, coverslip)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout.splitlines()[-1]

    def test_its_command_runs_with_the_example(self, begin: Begin, coverslip: Path, data: Path, tmp_path: Path) -> None:
        config = tmp_path / "lab.toml"
        http = free_pair()
        text = (DEPLOY / "examples" / "lab.toml").read_text().partition("[[sources]]")[0]
        text = text.replace("8814", str(http)).replace("8815", str(http + 1))
        config.write_text(f"{text}\n[[sources]]\nurl = {json.dumps(str(data))}\n")
        command = re.search(r"(?m)^ExecStart=(.*)$", (DEPLOY / "coverslip.service").read_text())
        assert command is not None
        words = [str(coverslip), *shlex.split(command[1])[1:-1], config]
        server = begin(*words, **surroundings(coverslip, tmp_path, COVERSLIP_TOKEN=TOKEN))
        wait_for(lambda: answers(f"http://127.0.0.1:{http}"), "the server")
        assert ask(f"http://127.0.0.1:{http}/api/catalog")[0] == 401, "a proxy in front brings others"
        assert server.stop() == 0
        assert TOKEN not in "".join(server.err), "the journal gets standard error"


def test_everything_over_our_own_tls(
    begin: Begin, coverslip: Path, data: Path, pixels: Path, browser: Browser, tmp_path: Path
) -> None:
    port = free_pair()
    env = surroundings(coverslip, tmp_path, COVERSLIP_TOKEN=TOKEN)
    server = begin(
        coverslip, "serve", data, "--tls", "--no-browser", "--quiet", "--port", port, "--flight", port + 1, **env
    )
    wait_for(lambda: server.said(f"https://127.0.0.1:{port}/#token={TOKEN}"), "the address")
    with visitor(browser, ignore_https_errors=True) as context:
        page = context.new_page()
        page.goto(f"https://127.0.0.1:{port}/?page=home#token={TOKEN}")
        expect(page.get_by_test_id("source")).to_have_count(1)
        [cookie] = context.cookies()
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
    certificate = tmp_path / "state" / "tls-certificate.pem"
    trusting = ssl.create_default_context(cafile=str(certificate))
    assert ask(f"https://localhost:{port}/api/catalog", trusting, **BEARER)[0] == 200
    found = biopb_reads(f"grpc+tls://localhost:{port + 1}", certificate, pixels)
    assert (found["whole"], found["part"]) == (True, True)
    ends = ssl.cert_time_to_seconds(
        run(tool("openssl"), "x509", "-in", certificate, "-noout", "-enddate").stdout.strip().partition("=")[2]
    )
    told = found["health"]
    assert isinstance(told, dict)
    assert told["tls_not_after"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
    server.stop()
