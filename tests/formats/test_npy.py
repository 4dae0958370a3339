"""The second format: one source file, one test file, found by itself."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from coverslip.core.errors import Damaged, NotFound, UnknownFormat, Unsupported
from coverslip.core.format import Format
from coverslip.core.spec import Box
from coverslip.domains.cells import Cells
from coverslip.formats import formats, open_source, recognise


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i2"])
def test_coordinates_become_an_embedding(tmp_path: Path, order: str, dtype: str) -> None:
    data = np.asarray(np.random.default_rng(0).normal(size=(40, 3)) * 100, dtype=dtype, order=order)  # type: ignore[call-overload]
    path = tmp_path / "tsne.npy"
    np.save(path, data)
    source = open_source(path)
    cells = Cells(source.root)
    assert (cells.n_cells, cells.n_genes, cells.fields) == (40, 0, [])
    embedding = cells.embeddings[0]
    assert (embedding.key, embedding.label, embedding.dimensions) == ("X_tsne", "t-SNE", [1, 2, 3])
    np.testing.assert_array_equal(embedding.coordinates(), data.astype(np.float32))
    obsm = source.root.group("obsm")
    assert obsm is not None
    np.testing.assert_array_equal(obsm.array("X_tsne").read(Box((5, 1), (9, 3))), data[5:9, 1:3])
    assert cells.cell_name(7) == "7"


def test_newer_headers(tmp_path: Path) -> None:
    path = tmp_path / "v2.npy"
    with path.open("wb") as file:
        np.lib.format.write_array(file, np.ones((3, 2)), version=(2, 0))
    assert Cells(open_source(path).root).n_cells == 3


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return open, (str(tmp_path / "exploded"), "w")  # type: ignore[return-value]

    path = tmp_path / "bomb.npy"
    np.save(path, np.array([[Bomb()]], dtype=object), allow_pickle=True)
    assert pickle.PROTO in path.read_bytes()
    with pytest.raises(Unsupported):
        open_source(path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("keep", [3, 40, 127, 200])
def test_truncated(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "short.npy"
    np.save(path, np.ones((10, 2)))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(Damaged):
        open_source(path)


def test_what_is_no_array_of_numbers(tmp_path: Path) -> None:
    path = tmp_path / "odd.npy"
    for values in (np.array(1.0), np.array(["a", "b"]), np.zeros(3, "datetime64[s]"), np.zeros(2, "i4,f4")):
        np.save(path, values)
        with pytest.raises(Unsupported, match="holds"):
            open_source(path)


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.ones((2, 2)))
    source = open_source(path)
    assert source.fresh()
    path.write_bytes(path.read_bytes() + b"more")
    assert not source.fresh()


def test_formats_find_themselves() -> None:
    order = [(getattr(f, "rank", 0), f.name) for f in formats()]
    assert order == sorted(order)
    assert {"h5ad", "npy"} <= {f.name for f in formats()}
    assert all(isinstance(f, Format) for f in formats())


def test_what_is_not_there_and_what_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="not found"):
        recognise(tmp_path / "no")
    other = tmp_path / "a.docx"
    other.write_bytes(b"PK")
    with pytest.raises(UnknownFormat, match=r"\.h5ad, .*\.npy, "):
        recognise(other)
    (tmp_path / "npy_without_suffix").write_bytes(b"\x93NUMPY\x01\x00")
    assert recognise(tmp_path / "npy_without_suffix").name == "npy"


@pytest.mark.parametrize("order", ["C", "F"])
def test_other_arrays_are_arrays(tmp_path: Path, order: str) -> None:
    volume = np.asarray(np.random.default_rng(0).integers(0, 255, (4, 30, 100)).astype(">u2"), order=order)  # type: ignore[call-overload]
    np.save(tmp_path / "volume.npy", volume)
    source = open_source(tmp_path / "volume.npy")
    array = source.root.array("volume")
    assert (array.spec.shape, array.spec.dtype) == ((4, 30, 100), np.dtype("u2"))
    np.testing.assert_array_equal(array.read(Box((1, 2, 3), (3, 20, 70))), volume[1:3, 2:20, 3:70])
    source.close()
    np.save(tmp_path / "picture.npy", np.zeros((70, 65)))
    assert "picture" in open_source(tmp_path / "picture.npy").root
