"""Objects by name, in a bucket or on a web server, through obstore; every request is bounded in time and in tries.

Source: obstore 0.8 and later (https://developmentseed.org/obstore/); RFC 9110, sections 13 and 14.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property
from typing import Any, TypeVar
from urllib.parse import quote

from coverslip.core.errors import CoverslipError
from coverslip.formats.remote.address import Address
from coverslip.formats.remote.credentials import Profile
from coverslip.formats.remote.failures import NO_RANGES, changed, guarded

T = TypeVar("T")
S = TypeVar("S")
AT_ONCE = 16
"""Requests that are under way at the same time, in the whole process."""
AMAZON = "https://{}s3.{}amazonaws.com{}"


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server.

    Attributes
    ----------
    connect_s
        For a connection.
    read_s
        For the next bytes.
    whole_s
        For one request.
    tries
        How often a failed request is sent again.
    retry_s
        After which none is sent again.
    """

    connect_s: float = 10.0
    read_s: float = 60.0
    whole_s: float = 600.0
    tries: int = 2
    retry_s: float = 60.0


PATIENT = Patience()
QUICK = Patience(connect_s=3.0, read_s=5.0, whole_s=5.0, tries=0)
"""For looking whether something changed: when the server does not answer, what is there goes on being served."""


@dataclass(frozen=True)
class Stat:
    """What a server says of an object.

    Attributes
    ----------
    key
        Its name below the bucket's address.
    size
        In bytes.
    tag
        The server's ETag as it came, or empty.
    modified_s
        In seconds since 1970; 0 when the server does not tell.
    """

    key: str
    size: int
    tag: str
    modified_s: float

    @property
    def etag(self) -> str:
        """Its version, in letters that coverslip's etags may have."""
        return hashlib.sha256(f"{self.size} {self.tag or self.modified_s}".encode()).hexdigest()[:32]

    def same(self, other: Stat) -> bool:
        """Whether both are one version of the object."""
        return self.etag == other.etag

    @property
    def condition(self) -> dict[str, str]:
        """What asks the server for this version only; a weak ETag can not."""
        return {"if_match": self.tag} if self.tag and not self.tag.startswith("W/") else {}


class Bucket:
    """What lies below one address.

    Parameters
    ----------
    address
        Of the folder or object; keys are relative to it, the empty one is the object itself.
    profile
        Who asks.
    patience
        How long to wait.
    """

    def __init__(self, address: Address, profile: Profile, patience: Patience = PATIENT) -> None:
        self.address, self.profile, self.patience = address, profile, patience

    def with_patience(self, patience: Patience) -> Bucket:
        """The same with other waiting times."""
        return Bucket(self.address, self.profile, patience)

    def shown(self, key: str) -> str:
        """The address of an object, without secrets."""
        return self.address.below(key).shown

    def stat(self, key: str) -> Stat | None:
        """What the server says of an object; None when there is none."""
        obstore = self._obstore
        try:
            if self.address.web:  # signed addresses allow GET only, and many servers answer HEAD wrongly
                return self.get(key, 0, 1)[1]
            return _stat(key, self._guarded(key, lambda: obstore.head(self._store, self._path(key))))
        except CoverslipError as error:
            if error.name == "not_found":
                return None
            if self.address.web and error.name in (NO_RANGES, "changed"):  # no ranges, or an empty file
                return _stat(key, self._guarded(key, lambda: obstore.head(self._store, self._path(key))))
            raise

    def get(self, key: str, start: int = 0, stop: int | None = None, of: Stat | None = None) -> tuple[bytes, Stat]:
        """Bytes ``start`` to ``stop`` of an object (fewer when it ends before), and what it is.

        Parameters
        ----------
        of
            Only of this version.
        """
        whole = stop is None and start == 0
        span: Any = None if whole else (start, stop) if stop is not None else {"offset": start}
        return self._got(key, span, of)

    def tail(self, key: str, count: int) -> tuple[bytes, Stat]:
        """The last ``count`` bytes of an object."""
        return self._got(key, {"suffix": count}, None)

    def stream(self, key: str, of: Stat, step: int) -> Iterator[bytes]:
        """All bytes of an object, for servers that send no ranges."""
        options = dict(of.condition)
        got = self._guarded(key, lambda: self._obstore.get(self._store, self._path(key), options=options or None))
        if not _stat(key, got.meta).same(of):
            raise changed(self.shown(key))
        parts = iter(self._guarded(key, lambda: got.stream(min_chunk_size=step)))
        while (part := self._guarded(key, lambda: next(parts, None))) is not None:
            yield bytes(part)

    def level(self, key: str) -> tuple[list[Stat], list[str]]:
        """Objects and folders directly below a folder; keys of both.

        Raises
        ------
        Unsupported
            On the web, where nothing can be listed.
        """
        prefix = self._path(key)
        found = self._guarded(key, lambda: self._obstore.list_with_delimiter(self._store, prefix or None))
        cut = len(self._path("")) + 1 if self._path("") else 0
        objects = [_stat(meta["path"][cut:], meta) for meta in found["objects"] if meta["path"] != prefix]
        return objects, [folder[cut:].rstrip("/") for folder in found["common_prefixes"]]

    def _got(self, key: str, span: Any, of: Stat | None) -> tuple[bytes, Stat]:
        options = {"range": span} if span is not None else {}
        options |= of.condition if of is not None else {}

        def ask() -> tuple[bytes, Stat]:
            got = self._obstore.get(self._store, self._path(key), options=options or None)
            stat = _stat(key, got.meta)
            if of is not None and not stat.same(of):
                raise changed(self.shown(key))
            return bytes(got.bytes()), stat

        return self._guarded(key, ask)

    def _guarded(self, key: str, work: Callable[[], T]) -> T:
        return guarded(self.shown(key), self.profile.name, work)

    def _path(self, key: str) -> str:
        if self.address.web:
            return key
        return "/".join(part for part in (self.address.path, key) if part)

    @cached_property
    def _obstore(self) -> Any:
        from coverslip.formats.trees.source import need

        return need("obstore", "remote sources")

    @cached_property
    def _store(self) -> Any:
        make = {"s3": self._s3, "gs": self._gs}.get(self.address.scheme, self._web)
        return self._guarded("", make)

    def _options(self, plain_http: bool) -> dict[str, Any]:
        from coverslip import __version__

        wait = self.patience
        client: dict[str, Any] = {
            "connect_timeout": timedelta(seconds=wait.connect_s),
            "read_timeout": timedelta(seconds=wait.read_s),
            "timeout": timedelta(seconds=wait.whole_s),
            "user_agent": f"coverslip/{__version__}",
            "allow_http": plain_http,  # else a redirect to http:// is refused, too
        }
        pause = {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=2), "base": 2}
        retry = {"max_retries": wait.tries, "retry_timeout": timedelta(seconds=wait.retry_s), "backoff": pause}
        return {"client_options": client, "retry_config": retry}

    def _s3(self) -> Any:
        from obstore.store import S3Store

        who, bucket = self.profile, self.address.host
        endpoint = who.endpoint_url.rstrip("/")
        keyed = bool(who.key and who.secret)
        hosted = not endpoint and not keyed and not who.region and "." not in bucket
        if not endpoint:
            china = ".cn" if who.region.startswith("cn-") else ""
            where = f"{who.region}." if who.region else ""
            endpoint = AMAZON.format(f"{bucket}." if hosted else "", where, china)
        options = self._options(endpoint.startswith("http://"))
        if keyed:
            # Given as arguments, the keys would be mixed with the environment's session token.
            token = {"access_key_id": who.key, "secret_access_key": who.secret, "token": who.token or None}
            options["credential_provider"] = lambda: {**token, "expires_at": None}
        elif not who.ambient:
            options["skip_signature"] = True
        return S3Store(
            bucket,
            endpoint=endpoint,
            region=who.region or "us-east-1",
            virtual_hosted_style_request=hosted,
            **options,
        )

    def _gs(self) -> Any:
        from obstore.store import GCSStore

        who = self.profile
        config: dict[str, Any] = {"base_url": who.endpoint_url.rstrip("/")} if who.endpoint_url else {}
        options = self._options(who.endpoint_url.startswith("http://"))
        if who.token:
            token = who.token
            options["credential_provider"] = lambda: {"token": token, "expires_at": None}
        elif who.key:
            config["application_credentials"] = os.path.expanduser(who.key)  # noqa: PTH111
        else:
            options["skip_signature"] = True
        return GCSStore(self.address.host, **config, **options)

    def _web(self) -> Any:
        from obstore.store import HTTPStore

        at, who = self.address, self.profile
        options = self._options(at.scheme == "http")
        secret = at.user or (f"{who.key}:{who.secret}" if who.key else "")
        if secret:
            options["client_options"]["default_headers"] = {
                "authorization": f"Basic {b64encode(secret.encode()).decode()}"
            }
        elif who.token and not at.query:
            options["client_options"]["default_headers"] = {"authorization": f"Bearer {who.token}"}
        return HTTPStore(f"{at.scheme}://{at.host}/{quote(at.path)}{'?' if at.query else ''}{at.query}", **options)


def _stat(key: str, meta: Any) -> Stat:
    return Stat(key, int(meta["size"]), meta["e_tag"] or "", meta["last_modified"].timestamp())


@cache
def pool() -> ThreadPoolExecutor:
    """The threads that wait for servers."""
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="coverslip-remote")


def at_once(work: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """``work`` on every item, several at the same time, results in order; the first error is raised.

    Not to be called from a thread of `pool`.
    """
    todo = list(items)
    return [work(item) for item in todo] if len(todo) < 2 else list(pool().map(work, todo))
