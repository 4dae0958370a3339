"""Which answer a path asks for. Pure: no data, no framework."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from coverslip.core.errors import NotFound


@dataclass(frozen=True)
class Wanted:
    """One answer asked for.

    Attributes
    ----------
    kind
        Name of the answer: ``points``, ``gene``, ``identity`` …
    name
        A field's or gene's name, percent-decoded, or empty.
    number
        A field's, gene's, cell's or embedding's number, or the number of dimensions; -1 when there is none.
    part
        ``values``, ``codes``, ``outliers``, ``src``, ``dst`` or ``weights``.
    extension
        ``f32``, ``u8`` …
    gzip
        Whether the array is asked for as a gzip file.
    """

    kind: str
    name: str = ""
    number: int = -1
    dimensions: int = 0
    part: str = ""
    extension: str = ""
    gzip: bool = False


def _document(kind: str) -> Callable[[re.Match[str]], Wanted]:
    return lambda m: Wanted(kind, number=int(m[1]) if m.re.groups else -1)


_NUMBER = r"(\d{1,10})"
_GZ = r"(\.gz)?"
_ROUTES: list[tuple[re.Pattern[str], Callable[[re.Match[str]], Wanted]]] = [
    (re.compile(pattern), make)
    for pattern, make in [
        (r"dataset_identity\.json", _document("identity")),
        (r"obs_manifest\.json", _document("obs_manifest")),
        (r"var_manifest\.json", _document("var_manifest")),
        (r"connectivity_manifest\.json", _document("connectivity_manifest")),
        (r"genes\.json", _document("genes")),
        (r"gene_index\.json", _document("gene_index")),
        (rf"genes/values\.f32{_GZ}", lambda m: Wanted("several", gzip=bool(m[1]))),
        (rf"fields/{_NUMBER}\.json", _document("field")),
        (r"cells/names\.json", _document("names")),
        (r"cells/digest\.json", _document("digest")),
        (rf"cells/{_NUMBER}\.json", _document("cell")),
        (rf"points_([123])d\.bin{_GZ}", lambda m: Wanted("points", dimensions=int(m[1]), gzip=bool(m[2]))),
        (
            rf"embeddings/{_NUMBER}_([123])d\.bin{_GZ}",
            lambda m: Wanted("embedding", number=int(m[1]), dimensions=int(m[2]), gzip=bool(m[3])),
        ),
        (
            rf"fields/{_NUMBER}\.(values|codes|outliers)\.(\w+){_GZ}",
            lambda m: Wanted("obs", number=int(m[1]), part=m[2], extension=m[3], gzip=bool(m[4])),
        ),
        (
            rf"obs/(.+)\.(values|codes|outliers)\.(f32|u8|u16|u32){_GZ}",
            lambda m: Wanted("obs", name=unquote(m[1]), part=m[2], extension=m[3], gzip=bool(m[4])),
        ),
        (rf"genes/{_NUMBER}\.values\.f32{_GZ}", lambda m: Wanted("gene", number=int(m[1]), gzip=bool(m[2]))),
        (rf"var/(.+)\.values\.f32{_GZ}", lambda m: Wanted("gene", name=unquote(m[1]), gzip=bool(m[2]))),
        (rf"connectivity/edges\.(src|dst)\.bin{_GZ}", lambda m: Wanted("edges", part=m[1], gzip=bool(m[2]))),
        (rf"connectivity/edges\.(weights)\.f32\.bin{_GZ}", lambda m: Wanted("edges", part=m[1], gzip=bool(m[2]))),
        (
            rf"vectors/(.+)_([123])d\.bin{_GZ}",
            lambda m: Wanted("vectors", name=unquote(m[1]), dimensions=int(m[2]), gzip=bool(m[3])),
        ),
    ]
]


def parse(path: str) -> Wanted:
    """What a path asks for; ``path`` is relative and still percent-encoded, so that names may hold slashes.

    Raises
    ------
    NotFound
        When nothing here has such a path.
    """
    for pattern, make in _ROUTES:
        found = pattern.fullmatch(path)
        if found is not None:
            return make(found)
    raise NotFound(f"Not found: {unquote(path)[:200]}", "dataset_identity.json lists what there is.")


def part_of(path: str) -> tuple[str, str]:
    """Which data set of several in a source a path begins with (``mod/rna``, empty for the first), and the rest."""
    found = re.fullmatch(r"(mod|tables|table)/([^/]+)/(.+)", path)
    return (f"{found[1]}/{unquote(found[2])}", found[3]) if found else ("", path)


def safe_name(name: str) -> str:
    """The form in which cellucid's clients write a name into a path."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "field"
