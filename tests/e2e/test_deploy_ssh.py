"""Through a real sshd on loopback: tunnels, `coverslip connect`, jobs of a cluster."""

from __future__ import annotations

import getpass
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import deployed
import psutil
import pytest
from conftest import PATIENCE_S, run, wait_for
from deployed import BEARER, DEPLOY, TOKEN, Begin, _accepts, answers, ask, flight_sources, surroundings, tool
from surroundings import free_pair, free_port

coverslip = deployed.coverslip
volume = deployed.volume
data = deployed.data
begin = deployed.begin


@pytest.fixture(scope="module")
def sshd(begin: Begin, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real sshd on loopback that knows one throw-away key; the configuration of its client."""
    folder, port = tmp_path_factory.mktemp("ssh"), free_port()
    for name in ("host", "user"):
        run(tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    shutil.copy(folder / "user.pub", folder / "authorized")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile {folder}/pid\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\n"
        "UsePAM no\nStrictModes no\nAllowTcpForwarding yes\n"
    )
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "config").write_text(
        f"Host *\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {folder}/user\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {folder}/known\n  HostKeyAlias [127.0.0.1]:{port}\n  StrictHostKeyChecking yes\n"
        "  BatchMode yes\n  ExitOnForwardFailure yes\n"
    )
    begin(tool("sshd"), "-D", "-e", "-f", folder / "sshd_config")
    wait_for(lambda: _accepts(port), "sshd")
    return folder / "config"


def server_of(data: Path) -> psutil.Process:
    """The server that was started for ``data``, with no other port than its own."""
    found: list[psutil.Process] = []

    def there() -> bool:
        found[:] = [
            process
            for process in psutil.process_iter()
            if (words := words_of(process))
            and "--end-with-input" in words
            and str(data) in words
            and "ssh" not in words[0]
        ]
        return bool(found)

    wait_for(there, "the server there")
    return found[0]


def words_of(process: psutil.Process) -> list[str]:
    try:
        words: list[str] = process.cmdline()
    except psutil.Error:
        return []
    return words


def all_of(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True), *process.parents()]


class TestTunnel:
    def test_http_and_flight_through_ssh(
        self, begin: Begin, sshd: Path, coverslip: Path, data: Path, tmp_path: Path
    ) -> None:
        far, near = free_pair(), free_pair()
        server = begin(
            coverslip, "server", "start", "--foreground", "--web-port", far, "--port", far + 1, data,
            **surroundings(coverslip, tmp_path, COVERSLIP_TOKEN=TOKEN),
        )  # fmt: skip
        wait_for(lambda: answers(f"http://127.0.0.1:{far}"), "the server")
        forwards = ["-L", f"{near}:localhost:{far}", "-L", f"{near + 1}:localhost:{far + 1}"]
        tunnel = begin(tool("ssh"), "-F", sshd, "-N", *forwards, f"{getpass.getuser()}@server.example.org")
        wait_for(lambda: tunnel.process.poll() is None and answers(f"http://localhost:{near}"), "the tunnel")
        wait_for(lambda: server.said("1 sources found"), "the data")
        assert ask(f"http://localhost:{near}/api/catalog")[0] == 401
        assert ask(f"http://localhost:{near}/api/catalog", **BEARER)[0] == 200
        assert '"what a lab has' in flight_sources(coverslip, f"grpc://localhost:{near + 1}", TOKEN)
        tunnel.stop()
        server.stop()

    def test_one_command_serves_what_is_on_another_machine(
        self, begin: Begin, sshd: Path, coverslip: Path, data: Path, tmp_path: Path
    ) -> None:
        env = surroundings(coverslip, tmp_path)
        far = (
            "--ssh",
            f"{tool('ssh')} -F {sshd}",
            "--remote-command",
            coverslip,
            "--no-browser",
            "--quiet",
            "--port",
            0,
        )
        at = f"{getpass.getuser()}@server.example.org"
        one = begin(coverslip, "connect", *far, f"{at}:{data}", **env)
        wait_for(lambda: one.said("http://"), "the address")
        url, _, token = one.out[0].strip().partition("#token=")
        assert ask(f"{url}api/sources")[0] == 401, "others on that machine read nothing"
        assert ask(f"{url}api/sources", Authorization=f"Bearer {token}")[0] == 200
        there = server_of(data)
        assert not [line for process in all_of(there) for line in process.cmdline() if token in line]
        assert one.stop(signal.SIGINT) == 130
        assert not "".join(one.err).strip()
        psutil.wait_procs([there], timeout=PATIENCE_S)
        assert not there.is_running(), "nothing stays behind there"

        two = begin(coverslip, "connect", *far, f"{at}:{data}", **env)
        wait_for(lambda: two.said("http://"), "the address")
        there = server_of(data)
        next(child for child in psutil.Process(two.process.pid).children() if child.name() == "ssh").kill()
        assert two.process.wait(PATIENCE_S) == 1
        wait_for(lambda: any(line.startswith("Error: The connection to ") for line in two.err), "the last word")
        psutil.wait_procs([there], timeout=PATIENCE_S)
        assert not there.is_running(), "it ends with the connection"

    @pytest.mark.parametrize(
        ("words", "place", "told"),
        [
            ((), "{at}:/no/such/place", "not found"),
            (("--remote-command", "/no/such/coverslip"), "{at}:/tmp", "pip install coverslip"),
            (("--ssh", "ssh -p 1"), "127.0.0.1:/tmp", "cannot be reached"),
            (("--ssh", "no-such-ssh"), "{at}:/tmp", "Install an OpenSSH client"),
            ((), "-oProxyCommand=true:/tmp", "Error: "),
            ((), "--", "Error: "),
            ((), "/tmp/only/a/path", "user@host:/data"),
        ],
    )
    def test_what_cannot_be_connected(
        self, sshd: Path, coverslip: Path, tmp_path: Path, words: tuple[str, ...], place: str, told: str
    ) -> None:
        place = place.format(at=f"{getpass.getuser()}@server.example.org")
        usual = ("--ssh", f"{tool('ssh')} -F {sshd}", "--remote-command", coverslip, "--no-browser", "--port", 0)
        done = subprocess.run(
            [str(word) for word in (coverslip, "connect", *usual, *words, place)],
            capture_output=True, text=True, check=False, timeout=PATIENCE_S, env=surroundings(coverslip, tmp_path),
        )  # fmt: skip
        assert done.returncode in (1, 2), done.stdout
        assert told in done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize("bind", ["loopback", "node"])
    def test_a_job_tells_the_line_to_type(
        self, begin: Begin, sshd: Path, coverslip: Path, data: Path, tmp_path: Path, bind: str
    ) -> None:
        base = free_pair() - 4
        env = surroundings(
            coverslip, tmp_path, SLURM_JOB_ID="4711", COVERSLIP_LOGIN="login.example.org", COVERSLIP_BIND=bind,
            COVERSLIP_BASE_PORT=str(base), TMPDIR=str(tmp_path),
        )  # fmt: skip
        env = {name: value for name, value in env.items() if name not in ("COVERSLIP_STATE_DIR", "COVERSLIP_CACHE_DIR")}
        job = begin("bash", DEPLOY / "slurm.sh", data, **env)
        wait_for(lambda: job.said("scancel 4711"), "what the job tells")
        url_file = tmp_path / "coverslip-4711.url"
        assert url_file.stat().st_mode & 0o777 == 0o600
        url = url_file.read_text().strip()
        token = urllib.parse.urlsplit(url).fragment.removeprefix("token=")
        [line] = [text.strip() for text in job.out if text.strip().startswith("ssh -N")]
        words = shlex.split(line)
        target = words[-1].partition("@")[2]
        assert target == (socket.gethostname() if bind == "loopback" else "login.example.org")
        local = free_pair()  # here both ends of the tunnel are one machine, and have one set of ports
        for old, new in ((base + 4, local), (base + 5, local + 1)):
            words = [re.sub(rf"^{old}:", f"{new}:", word) for word in words]
        node = f"{socket.gethostname() if bind == 'node' else '127.0.0.1'}"
        wait_for(
            lambda: answers(f"http://{node}:{base + 4}") if bind == "loopback" else _accepts_at(node, base + 4), "it"
        )
        tunnel = begin(words[0], "-F", sshd, *words[1:])
        wait_for(lambda: answers(f"http://localhost:{local}"), f"the tunnel {tunnel.err}")
        bearer = f"Bearer {token}"
        wait_for(
            lambda: json.loads(ask(f"http://localhost:{local}/api/catalog", Authorization=bearer)[1])["sources"] == 1,
            "the data",
        )
        assert ask(f"http://localhost:{local}/api/catalog")[0] == 401
        assert '"what a lab has' in flight_sources(coverslip, f"grpc://localhost:{local + 1}", token)
        tunnel.stop()
        assert job.stop() == 143
        assert token not in "".join(job.out + job.err), "the job's output may be read by others"
        assert not url_file.exists()
        assert list(tmp_path.glob("coverslip-4711.*")) == [], "nothing is left"
        assert not _accepts_at(node, base + 4)


def _accepts_at(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True
