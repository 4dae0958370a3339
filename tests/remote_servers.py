"""Servers for tests of remote sources: moto's S3 server in a process of its own, and a web server with bad habits."""

from __future__ import annotations

import hashlib
import http.server
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import obstore
from obstore.store import S3Store

ROOT_KEY, ROOT_SECRET = "test", "test-secret"


@dataclass
class S3:
    """A server that speaks S3's protocol.

    Attributes
    ----------
    url
        Its endpoint.
    key, secret
        Of a user who may do everything, once `ask_for_keys` was called.
    """

    url: str
    process: subprocess.Popen[str]
    key: str = ROOT_KEY
    secret: str = ROOT_SECRET

    def store(self, bucket: str) -> S3Store:
        return S3Store(
            bucket,
            endpoint=self.url,
            region="us-east-1",
            credential_provider=lambda: {
                "access_key_id": self.key,
                "secret_access_key": self.secret,
                "expires_at": None,
            },
            client_options={"allow_http": True},
        )

    def make(self, bucket: str, public: bool = False) -> str:
        headers = {"x-amz-acl": "public-read"} if public else {}
        self._ask(f"{self.url}/{bucket}", b"", "PUT", {**headers, **ROOT})
        return bucket

    def put(self, bucket: str, key: str, data: bytes | Path) -> None:
        obstore.put(self.store(bucket), key, data if isinstance(data, bytes) else data.read_bytes())

    def put_public(self, bucket: str, key: str, data: bytes) -> None:
        self._ask(f"{self.url}/{bucket}/{key}", data, "PUT", {"x-amz-acl": "public-read", **ROOT})

    def put_tree(self, bucket: str, prefix: str, folder: Path) -> None:
        files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda f: self.put(bucket, f"{prefix}/{f.relative_to(folder).as_posix()}", f), files))

    def ask_for_keys(self) -> None:
        """From now on every request must be signed by the user, whose key is made here."""
        call = {**ROOT_IAM, "Content-Type": "application/x-www-form-urlencoded"}
        self._ask(self.url, b"Action=CreateUser&UserName=u&Version=2010-05-08", "POST", call)
        policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
        body = f"Action=PutUserPolicy&UserName=u&PolicyName=p&PolicyDocument={policy}&Version=2010-05-08"
        self._ask(self.url, body.encode(), "POST", call)
        made = self._ask(self.url, b"Action=CreateAccessKey&UserName=u&Version=2010-05-08", "POST", call)
        self.key = re.search(r"<AccessKeyId>(.*?)<", made)[1]  # type: ignore[index]
        self.secret = re.search(r"<SecretAccessKey>(.*?)<", made)[1]  # type: ignore[index]
        self._ask(f"{self.url}/moto-api/reset-auth", b"0", "POST", {"Content-Type": "text/plain"})

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def _ask(self, url: str, data: bytes, method: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())


def _signed(service: str) -> dict[str, str]:
    scope = f"Credential={ROOT_KEY}/20260101/us-east-1/{service}/aws4_request"
    signed = f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"
    return {"Content-Type": "application/octet-stream", "Authorization": signed}


ROOT, ROOT_IAM = _signed("s3"), _signed("iam")


@contextmanager
def s3_server() -> Iterator[S3]:
    """moto's server on a free port of this machine."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    server = drain = None
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                server = S3(found[0], process)
                break
        assert server is not None, "moto's server did not start"
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        yield server
    finally:
        process.kill()
        process.wait()
        if drain is not None:
            drain.join()
        process.stderr.close()


@dataclass
class Web:
    """A folder on the web.

    Attributes
    ----------
    folder
        What it serves.
    ranges
        Whether it sends parts of files.
    etags
        Whether it sends ETags, else only when a file changed.
    slow_s
        How long it waits before every answer.
    cut_after
        After how many bytes of an answer it hangs up; None never.
    query
        What every address must carry, else 403.
    moved
        Addresses by path that it sends clients to.
    down
        Whether it hangs up without an answer.
    requests
        Method, path and range of every request.
    sent
        Bytes of all answers.
    now, most
        Requests that are answered now, and were answered at the same time at most.
    """

    folder: Path
    url: str = ""
    ranges: bool = True
    etags: bool = True
    slow_s: float = 0.0
    cut_after: int | None = None
    query: str = ""
    authorization: str = ""
    moved: dict[str, str] = field(default_factory=dict)
    down: bool = False
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    sent: int = 0
    now: int = 0
    most: int = 0


@contextmanager
def web_server(folder: Path) -> Iterator[Web]:
    """A web server on a free port of this machine."""
    web = Web(folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Answer", (_Answer,), {"web": web}))
    server.daemon_threads = True
    web.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.down = True
        server.shutdown()
        server.server_close()
        thread.join()


class _Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_GET(self) -> None:
        self._answer(True)

    def _answer(self, body: bool) -> None:
        web = self.web
        if web.down:
            self.close_connection = True
            return
        path, _, query = self.path.partition("?")
        asked = self.headers.get("Range", "")
        web.requests.append((self.command, self.path, asked))
        web.now += 1
        web.most = max(web.most, web.now)
        time.sleep(web.slow_s)
        web.now -= 1
        file = web.folder / unquote(path).lstrip("/")
        if path in web.moved:
            self._send(302, b"", {"Location": web.moved[path]})
        elif query != web.query or self.headers.get("Authorization", "") != web.authorization:
            self._send(403, b"no", {})
        elif not file.is_file():
            self._send(404, b"no", {})
        else:
            self._file(file, asked if web.ranges else "", body)

    def _file(self, file: Path, asked: str, body: bool) -> None:
        data, stat = file.read_bytes(), file.stat()
        headers = {"Last-Modified": formatdate(stat.st_mtime, usegmt=True)}
        if self.web.etags:
            headers["ETag"] = f'"{hashlib.md5(data).hexdigest()}"'
        status, size = 200, len(data)
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(0, size - int(last))
            stop = min(int(last) + 1, size) if first and last else size
            if start >= size:
                self._send(416, b"", {"Content-Range": f"bytes */{size}"})
                return
            status, data = 206, data[start:stop]
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        self._send(status, data, headers, body)

    def _send(self, status: int, data: bytes, headers: dict[str, str], body: bool = True) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not body:
            return
        cut = self.web.cut_after
        try:
            self.wfile.write(data if cut is None else data[:cut])
            self.wfile.flush()
        except OSError:
            return
        self.web.sent += len(data)
        if cut is not None and cut < len(data):
            self.close_connection = True
