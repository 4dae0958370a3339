"""Pieces of an export: codes within half a step, names that stay apart, files that are the same every time."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverslip.domains.export.files import Files, packed
from coverslip.domains.export.names import labels, safe_name
from coverslip.domains.export.options import BadArgument, ExportOptions
from coverslip.domains.export.quantise import quantised

FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)


@settings(max_examples=150, deadline=None)
@given(st.lists(FLOATS, min_size=1, max_size=60), st.integers(0, 200), st.sampled_from([8, 16]))
def test_codes_are_within_half_a_step(numbers: list[float], zeros: int, bits: int) -> None:
    """Decoded as cellucid's viewer does: the error is half a step at most, and what is missing stays missing."""
    values = np.array([*numbers, *[0.0] * zeros], np.float32)
    made = quantised(values, bits)
    most = (1 << bits) - 2
    assert made.codes.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert made.high > made.low
    np.testing.assert_array_equal(made.codes == most + 1, ~np.isfinite(values))
    there = np.isfinite(values)
    step = (made.high - made.low) / most
    decoded = made.low + made.codes[there].astype(np.float64) * step
    error = np.abs(decoded - values[there].astype(np.float64))
    assert error.max(initial=0) <= step / 2 + 1e-9 * max(abs(made.low), abs(made.high))


def test_codes_reach_both_ends() -> None:
    """The least value is code 0, the largest the last but one."""
    made = quantised(np.array([-1, 3, 0.5, np.nan], np.float32), 8)
    assert made.codes.tolist() == [0, 254, 95, 255]
    assert (made.low, made.high) == (-1.0, 3.0)
    assert quantised(np.full(3, 7, np.float32), 16).codes.tolist() == [0, 0, 0]
    assert quantised(np.full(2, np.inf, np.float32), 8).codes.tolist() == [255, 255]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=30), st.booleans())
def test_every_name_has_a_file_of_its_own(names: list[str], fold: bool) -> None:
    """Whatever they are called."""
    given_labels = labels(names, fold)
    files = [safe_name(label).casefold() if fold else safe_name(label) for label in given_labels]
    assert len(set(files)) == len(names)
    if len({safe_name(n).casefold() for n in names}) == len(names):
        assert given_labels == names


def test_the_plain_name_keeps_its_file() -> None:
    """Who is called as the file is has it; capital letters matter on some disks only."""
    assert labels(["HLA/A", "HLA_A", "HLA A", "β", "γ"]) == ["HLA/A (2)", "HLA_A", "HLA A (3)", "β", "γ (2)"]
    assert labels(["Actb", "ACTB"]) == ["Actb", "ACTB"]
    assert labels(["Actb", "ACTB"], fold=True) == ["Actb", "ACTB (2)"]
    assert len(safe_name(labels(["a" * 500])[0])) < 200


def test_packed_files_are_gzip_and_the_same_every_time() -> None:
    """Runs only for bytes, everything for wider numbers."""
    data = np.random.default_rng(0).integers(0, 9, 10_000).astype(np.uint16)
    for level in (1, 6, 9):
        for array in (data, data.astype(np.uint8)):
            file = packed(array.tobytes(), level, array.dtype)
            assert gzip.decompress(file) == array.tobytes()
            assert file == packed(array.tobytes(), level, array.dtype)


def test_texts_are_one_list(tmp_path: Path) -> None:
    """In blocks, none, and packed."""
    for level in (None, 3):
        files = Files(tmp_path, level)
        raw = (tmp_path / files.names("a.json", [["x"], ["é"]])).read_bytes()
        assert json.loads(gzip.decompress(raw) if level else raw) == ["x", "é"]
        raw = (tmp_path / files.names("b.json", [])).read_bytes()
        assert json.loads(gzip.decompress(raw) if level else raw) == []


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("var_quantization", 12), ("obs_continuous_quantization", 4), ("compression", 10),
        ("obs_categorical_dtype", "int8"), ("obs_binary_dirname", "../up"), ("obs_manifest_filename", "a/b.json"),
        ("var_binary_dirname", "obs"), ("var_binary_dirname", ".."),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(what: str, value: object) -> None:
    """Before anything is read; as a ValueError, too, as in cellucid."""
    with pytest.raises(BadArgument) as refused:
        ExportOptions(**{what: value}).check()  # type: ignore[arg-type]
    assert isinstance(refused.value, ValueError)
