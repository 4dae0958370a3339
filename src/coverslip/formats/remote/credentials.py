"""Who asks for remote objects: keys from profiles of the configuration, or from the environment, else nobody.

Looked for in this order: what a signed address carries; the profile that a source names; the default profile, where it
is for this kind of storage; the environment; nothing, which is how public data is read. Keys are never shown.

Source: the environment variables and the shared credentials file of AWS' command line (AWS SDKs and Tools reference);
Google's application default credentials.
"""

from __future__ import annotations

import configparser
import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from coverslip.core.errors import BadRequest

KINDS = {
    "s3": "s3", "minio": "s3", "gs": "gs", "gcs": "gs", "http": "https", "https": "https",
}  # fmt: skip
AMBIENT = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_WEB_IDENTITY_TOKEN_FILE",
)  # fmt: skip
"""Environment variables of machines in Amazon's cloud that are told their keys."""


@dataclass(frozen=True)
class Profile:
    """One identity.

    Attributes
    ----------
    name
        What sources call it.
    storage_type
        ``s3``, ``gs`` or ``https``; empty for any.
    key, secret, token
        Of S3: access key, secret key, session token. Of Google: path of a service account's file, nothing, or a bearer
        token. Of https: name and password, or a bearer token.
    region, endpoint_url
        Of S3: where the bucket is; the address of a server that is not Amazon's.
    ambient
        Whether the machine itself is told keys by the cloud it runs in.
    """

    name: str
    storage_type: str = ""
    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    region: str = ""
    token: str = field(default="", repr=False)
    endpoint_url: str = ""
    ambient: bool = False

    @property
    def anonymous(self) -> bool:
        """Whether it holds no key at all."""
        return not (self.key or self.token or self.ambient)


@dataclass(frozen=True)
class Credentials:
    """The section ``[credentials]`` of the configuration.

    Attributes
    ----------
    profiles
        By unique names.
    default_profile
        For sources that name none.
    """

    profiles: Sequence[Profile] = ()
    default_profile: str = ""

    def __post_init__(self) -> None:
        names = [profile.name for profile in self.profiles]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise BadRequest(f"There are two credentials profiles {min(twice)!r}", "Rename one of them.")
        for profile in self.profiles:
            if profile.storage_type and profile.storage_type.lower() not in KINDS:
                kinds = ", ".join(sorted(KINDS))
                raise BadRequest(
                    f"The profile {profile.name!r} has the storage_type {profile.storage_type!r}", f"Known are {kinds}."
                )
        if self.default_profile:
            self.named(self.default_profile)

    def named(self, name: str) -> Profile:
        """The profile of this name.

        Raises
        ------
        BadRequest
            When there is none.
        """
        for profile in self.profiles:
            if profile.name == name:
                return profile
        near = difflib.get_close_matches(name, [profile.name for profile in self.profiles], 1)
        hint = f"Did you mean {near[0]!r}?" if near else "Add it under [[credentials.profiles]]."
        raise BadRequest(f"There is no credentials profile {name!r}", hint)

    def profile(self, scheme: str, name: str = "", environ: Mapping[str, str] | None = None) -> Profile:
        """Who asks for objects of ``scheme``.

        Parameters
        ----------
        scheme
            ``s3``, ``gs``, ``https`` or ``http``.
        name
            The profile that the source names, if any.
        environ
            The environment; this process' own when left out.
        """
        kind = KINDS[scheme]
        if name:
            found = self.named(name)
            if found.storage_type and KINDS[found.storage_type.lower()] != kind:
                raise BadRequest(f"The profile {name!r} is not for {scheme}://", "Name another one.")
            return found
        if self.default_profile:
            found = self.named(self.default_profile)
            if not found.storage_type or KINDS[found.storage_type.lower()] == kind:
                return found
        return from_environment(kind, os.environ if environ is None else environ)


def from_environment(kind: str, environ: Mapping[str, str]) -> Profile:
    """What the environment says; a profile without keys when it says nothing."""
    if kind == "gs":
        return Profile("environment", "gs", key=environ.get("GOOGLE_APPLICATION_CREDENTIALS", ""))
    if kind != "s3":
        return Profile("nobody", kind)
    found = Profile(
        "environment", "s3", environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", ""),
        environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION", ""), environ.get("AWS_SESSION_TOKEN", ""),
        environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL", ""),
    )  # fmt: skip
    if found.key and found.secret:
        return found
    found = replace(found, key="", secret="", token="")
    if environ.get("AWS_PROFILE"):
        return _shared(environ["AWS_PROFILE"], found, environ)
    return replace(found, ambient=any(environ.get(name) for name in AMBIENT))


def _shared(name: str, found: Profile, environ: Mapping[str, str]) -> Profile:
    """A profile of the files that AWS' tools share."""
    home = Path(environ.get("HOME") or Path.home()) / ".aws"
    keys = _section(Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials"), name)
    settings = _section(Path(environ.get("AWS_CONFIG_FILE") or home / "config"), f"profile {name}")
    both = settings | keys
    if not both:
        raise BadRequest(f"AWS_PROFILE names {name!r}, which is not in ~/.aws", "Unset it, or run: aws configure.")
    return replace(
        found,
        key=both.get("aws_access_key_id", ""),
        secret=both.get("aws_secret_access_key", ""),
        token=both.get("aws_session_token", ""),
        region=found.region or both.get("region", ""),
        endpoint_url=found.endpoint_url or both.get("endpoint_url", ""),
    )


def _section(file: Path, name: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(file, encoding="utf-8")
        return dict(parser.items(name)) if parser.has_section(name) else {}
    except (configparser.Error, OSError, UnicodeDecodeError):
        return {}
