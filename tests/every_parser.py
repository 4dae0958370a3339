"""Every parser of ours, by its name; and how many inputs the unit tests make up for it."""

from __future__ import annotations

from parsers import PARSERS, Parser
from parsers_of_files import FILES
from parsers_of_messages import MESSAGES
from parsers_of_messages import end as end_of_messages
from parsers_of_state import STATE
from parsers_of_structures import STRUCTURES
from parsers_of_trees import TREES

ALL: dict[str, Parser] = PARSERS | FILES | MESSAGES | STATE | STRUCTURES | TREES
SLOWER = FILES.keys() | STATE.keys() | STRUCTURES.keys() | TREES.keys() | {"flight_action", "flight_put", "sql"}
"""A dozen inputs take about as long as forty of the others."""


def examples(name: str) -> int:
    """How many inputs the unit tests make up."""
    return 12 if name in SLOWER else 40


def end() -> None:
    """End what parsers share."""
    end_of_messages()
