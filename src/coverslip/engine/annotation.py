"""One annotation, and the image that it is drawn on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Place:
    """The image that annotations are drawn on.

    Attributes
    ----------
    place
        Where the source is, for ever: a path of this machine, an address, or ``upload:`` and a number.
    field
        The image inside the source; empty for the only one.
    array_id
        What clients call it now.
    url
        What people see of where it is.
    inode
        By which a renamed file is found again; 0 when there is none.
    """

    place: str
    field: str
    array_id: str
    url: str = ""
    inode: int = 0


@dataclass(frozen=True, slots=True)
class Annotation:
    """One shape.

    Attributes
    ----------
    roi_id
        Unique; made up when it is empty.
    set_name, label
        The layer it belongs to, and what a person calls it.
    geometry
        JSON of ``biopb.image.ROI``, in pixels of level 0; whoever stores it has looked at it.
    plane
        Which planes it is on: number of an axis to index on that axis; axes that are not named: all.
    props_json
        Whatever the client keeps with it.
    drawn_against
        The version of the image it was drawn on, or None.
    rev
        1, and one more for every change.
    created_ms, updated_ms
        In milliseconds since 1970.
    array_id
        The image, as clients call it.
    """

    roi_id: str
    set_name: str
    label: str
    geometry: str
    plane: Mapping[int, int] = field(default_factory=dict)
    props_json: str = ""
    drawn_against: bytes | None = None
    rev: int = 0
    created_ms: int = 0
    updated_ms: int = 0
    array_id: str = ""


@dataclass(frozen=True, slots=True)
class Orphans:
    """Annotations of an image that is gone: how many, and when the image was last there."""

    array_id: str
    url: str
    count: int
    seen_ms: int
