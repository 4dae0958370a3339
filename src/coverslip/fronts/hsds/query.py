"""Conditions on the rows of a table: a small grammar, read by a parser of its own and never by Python.

::

    either = both ("|" | "or") ...          both = one ("&" | "and") ...
    one    = ("~" | "not") one | "(" either ")" | field test
    test   = ("==" | "=" | "!=" | "<" | "<=" | ">" | ">=") value
           | ["not"] "in" "(" value, ... ")" | ".isin(" value, ... ")" | ".is_null()" | ".is_valid()"
    field  = name | "field(" name ")"; "_" for data without fields

Names and values may be quoted; a value without quotes is text. ``b'...'`` is text, too.

Source: the HDF REST API ("GET value", ``query``), PyTables' condition syntax, h5pyd's ``read_where``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import BadRequest
from coverslip.core.finite import is_finite
from coverslip.core.typed import Compound, Datatype, Enumeration, Float, Integer, Text

Rows = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Test = Callable[[Rows], Mask]
LONGEST = 4096
DEEPEST = 50
TOKEN = re.compile(
    r"\s*(?:(?P<text>b?'[^']*'|b?\"[^\"]*\")|(?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<word>[^\W\d]\w*)|(?P<sign>==|!=|<=|>=|[=<>&|~().,]))"
)
COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": np.equal,
    "=": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
Token = tuple[str, str]


def _wrong(what: str) -> BadRequest:
    return BadRequest(f"The query cannot be read: {what}", "Write it like  x > 1.5 & name == 'a'.", "bad_query")


def compile_query(text: str, kind: Datatype) -> Test:
    """What tells which rows match.

    Raises
    ------
    BadRequest
        When it cannot be read, or names a field that is not there.
    """
    if len(text) > LONGEST:
        raise _wrong("it is too long")
    tokens: list[Token] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None or found.end() == at:
            raise _wrong(f"there is a {text[at : at + 10]!r}")
        tokens.append((str(found.lastgroup), str(found[str(found.lastgroup)])))
        at = found.end()
    reader = _Reader(tokens, kind)
    test = reader.either(0)
    if reader.more:
        raise _wrong(f"{reader.next[1]!r} is not expected")
    return test


class _Reader:
    def __init__(self, tokens: list[Token], kind: Datatype) -> None:
        self._tokens, self._at, self._kind = tokens, 0, kind

    @property
    def more(self) -> bool:
        return self._at < len(self._tokens)

    @property
    def next(self) -> Token:
        return self._tokens[self._at] if self.more else ("end", "")

    def take(self) -> Token:
        token = self.next
        self._at += 1
        return token

    def skip(self, *values: str) -> bool:
        """Whether the next token is one of these (taken then); words in any case."""
        kind, value = self.next
        if kind in ("sign", "word") and (value.lower() if kind == "word" else value) in values:
            self._at += 1
            return True
        return False

    def need(self, value: str) -> None:
        if not self.skip(value):
            raise _wrong(f"{value!r} is missing")

    def either(self, depth: int) -> Test:
        if depth > DEEPEST:
            raise _wrong("it is nested too deeply")
        tests = [self.both(depth)]
        while self.skip("|", "or"):
            tests.append(self.both(depth))
        return _joined(np.logical_or, tests)

    def both(self, depth: int) -> Test:
        tests = [self.one(depth)]
        while self.skip("&", "and"):
            tests.append(self.one(depth))
        return _joined(np.logical_and, tests)

    def one(self, depth: int) -> Test:
        if depth > DEEPEST:
            raise _wrong("it is nested too deeply")
        if self.skip("~", "not"):
            return _inverted(self.one(depth + 1))
        if self.skip("("):
            test = self.either(depth + 1)
            self.need(")")
            return test
        return self.test()

    def field(self) -> tuple[Callable[[Rows], Rows], Datatype]:
        kind, value = self.take()
        if kind == "word" and value.lower() == "field" and self.skip("("):
            kind, value = self.take()
            self.need(")")
        if kind not in ("word", "text"):
            raise _wrong("the name of a field is missing")
        name = _unquoted(value) if kind == "text" else value
        if not isinstance(self._kind, Compound):
            if name != "_":
                raise _wrong(f"there is no field {name!r}")
            return lambda rows: rows, self._kind
        part = dict(self._kind.fields).get(name)
        if part is None:
            raise _wrong(f"there is no field {name!r}")
        return lambda rows: rows[name], part

    def test(self) -> Test:
        get, kind = self.field()
        if self.skip("."):
            _, method = self.take()
            if method.lower() == "isin":
                return _contained(get, kind, self.values())
            self.need("(")
            self.need(")")
            if method.lower() not in ("is_null", "is_valid"):
                raise _wrong(f"{method!r} is not known")
            return _inverted(_null(get)) if method.lower() == "is_valid" else _null(get)
        if self.skip("not"):
            self.need("in")
            return _inverted(_contained(get, kind, self.values()))
        if self.skip("in"):
            return _contained(get, kind, self.values())
        sort, sign = self.take()
        if sort != "sign" or sign not in COMPARE:
            raise _wrong("a comparison is missing")
        return _compared(get, kind, COMPARE[sign], self.value())

    def values(self) -> list[Any]:
        self.need("(")
        found = [self.value()]
        while self.skip(","):
            found.append(self.value())
        self.need(")")
        return found

    def value(self) -> Any:
        kind, value = self.take()
        if kind == "number":
            return int(value) if re.fullmatch(r"-?\d+", value) else float(value)
        if kind == "text":
            return _unquoted(value)
        if kind == "word":
            return {"true": True, "false": False}.get(value.lower(), value)
        raise _wrong("a value is missing")


def _unquoted(text: str) -> str:
    return text.removeprefix("b")[1:-1]


def _joined(how: Callable[[Any, Any], Any], tests: list[Test]) -> Test:
    first, *others = tests
    if not others:
        return first

    def test(rows: Rows) -> Mask:
        found = first(rows)
        for other in others:
            found = how(found, other(rows))
        return np.asarray(found, bool)

    return test


def _inverted(test: Test) -> Test:
    return lambda rows: ~test(rows)


def _fitting(value: Any, kind: Datatype) -> Any:
    """A value as elements of a type are held."""
    if isinstance(kind, Enumeration) and isinstance(value, str):
        members = dict(kind.members)
        if value not in members:
            raise _wrong(f"there is no member {value!r}")
        return members[value]
    if isinstance(kind, Text):
        if isinstance(value, float) and not is_finite(value):
            raise _wrong("no text is like a number without end")
        return (str(value) if not isinstance(value, float) else str(int(value))).encode()
    if not isinstance(kind, (Integer, Float, Enumeration)):
        raise _wrong("this field cannot be compared")
    if isinstance(value, str):
        raise _wrong(f"{value[:40]!r} is no number")
    return value


def _held(rows: Rows, kind: Datatype) -> Rows:
    if isinstance(kind, Text) and kind.size is not None and kind.pad != "null-padded":
        strip = b" \0" if kind.pad == "space-padded" else b"\0"
        return np.asarray([bytes(v).partition(b"\0")[0].rstrip(strip) for v in rows], object)
    return rows


def _compared(get: Callable[[Rows], Rows], kind: Datatype, how: Callable[[Any, Any], Any], value: Any) -> Test:
    wanted = _fitting(value, kind)

    def test(rows: Rows) -> Rows:
        with np.errstate(over="ignore"):  # a number larger than the type holds is larger than all of it
            return np.asarray(how(_held(get(rows), kind), wanted), bool)

    return test


def _contained(get: Callable[[Rows], Rows], kind: Datatype, values: list[Any]) -> Test:
    wanted = [_fitting(value, kind) for value in values]

    def test(rows: Rows) -> Mask:
        held = _held(get(rows), kind)
        found = np.zeros(held.shape, bool)
        for value in wanted:
            found |= np.asarray(np.equal(held, value), bool)
        return found

    return test


def _null(get: Callable[[Rows], Rows]) -> Test:
    def test(rows: Rows) -> Mask:
        held = get(rows)
        return np.isnan(held) if held.dtype.kind == "f" else np.zeros(held.shape, bool)

    return test
