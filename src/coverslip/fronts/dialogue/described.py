"""A notebook's dialogue with its viewers, as OpenAPI describes it."""

from __future__ import annotations

from coverslip.fronts.dialogue.front import FORMS, KINDS
from coverslip.fronts.openapi.words import (
    BYTES,
    COUNT,
    DOCUMENT,
    FLAG,
    OBJECT,
    OCTETS,
    Paths,
    asked,
    content,
    many,
    obj,
    one_of,
    operation,
    placed,
    sent,
    told,
    whole,
)

DIALOGUE = "Dialogue"
TAGS = {DIALOGUE: "A notebook and the viewers that it opened; only servers that a notebook started answer it."}
MOST = 10**15 - 1


def paths() -> Paths:
    """Operations of a dialogue."""
    commands = obj({"last": COUNT, "ended": FLAG, "commands": many(obj({"number": COUNT, "cells": FLAG}))})
    n = asked("n", whole(0, MOST), "Cells in all")
    found: Paths = {
        "/api/dialogue/commands": {
            "get": operation(
                DIALOGUE, "Commands after one; waits for the next",
                told("Commands", content(DOCUMENT, commands)), refuses=(400,),
                parameters=[asked("after", whole(0, MOST), "The last that is known; what holds now when left out")],
            )
        },
        "/api/dialogue/cells/{number}": {
            "get": operation(
                DIALOGUE, "The cells of a command", told("Numbers, uint32", content(OCTETS, BYTES)), refuses=(404,),
                parameters=[placed("number", whole(0, MOST), "The command", 1)],
            )
        },
        "/api/dialogue/events/selection": {
            "put": operation(
                DIALOGUE, "Cells were selected", told("Heard"), status=204, refuses=(400, 413),
                parameters=[asked("form", one_of(*FORMS), "How the body names cells", needed=True), n],
                body=sent("Bits, or numbers as uint32", BYTES, OCTETS),
            )
        },
    }  # fmt: skip
    for kind in KINDS:
        path = f"/api/dialogue/events/{kind}"
        found.setdefault(path, {
            "put": operation(DIALOGUE, f"Something happened in a viewer: {kind}", told("Heard"), status=204,
                             refuses=(400, 413), body=sent("What", OBJECT, example={}))
        })  # fmt: skip
    return found
