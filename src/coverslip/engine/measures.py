"""What a server has done since its start, counted: answers, bytes and seconds, by who answered and of which source."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
MOST_SOURCES = 200
"""Sources that are counted by themselves; those asked for after so many others are counted together."""
OTHERS = "(others)"


@dataclass
class Answers:
    """Those of one front.

    Attributes
    ----------
    statuses
        How many of each HTTP status.
    sent_bytes
        Of bodies, as they went out.
    seconds
        From the request until the answer began, together.
    slots
        How many began within each of `BUCKETS_S`, and last how many later.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    sent_bytes: int = 0
    seconds: float = 0.0
    slots: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))


@dataclass
class Cost:
    """What was spent on one source.

    Attributes
    ----------
    answers, sent_bytes, seconds
        As of `Answers`; the seconds are until the last byte was handed on.
    """

    answers: int = 0
    sent_bytes: int = 0
    seconds: float = 0.0


class Measures:
    """Counts of one server; all of it happens on one thread."""

    def __init__(self) -> None:
        self.fronts: dict[str, Answers] = {}
        self.sources: dict[str, Cost] = {}
        self.running = 0
        """Answers that are being made or sent now."""

    def note(self, front: str, status: int, began_s: float, ended_s: float, sent_bytes: int, source: str) -> None:
        """One answer that is over.

        Parameters
        ----------
        front
            Who answered.
        status
            HTTP status.
        began_s, ended_s
            Seconds from the request until the answer began, and until its last byte was handed on.
        sent_bytes
            Of its body.
        source
            Which source it is about; empty when about none.
        """
        answers = self.fronts.setdefault(front, Answers())
        answers.statuses[status] += 1
        answers.sent_bytes += sent_bytes
        answers.seconds += began_s
        answers.slots[bisect_left(BUCKETS_S, began_s)] += 1
        if source:
            known = source if source in self.sources or len(self.sources) < MOST_SOURCES else OTHERS
            cost = self.sources.setdefault(known, Cost())
            cost.answers += 1
            cost.sent_bytes += sent_bytes
            cost.seconds += ended_s
