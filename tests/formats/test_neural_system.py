"""Neural systems: folders and lone files, whole and not."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import h5py
import pytest

import network_files
from coverslip.core.errors import CoverslipError, Damaged, UnknownFormat, UnsafeLink
from coverslip.domains.networks import Network
from coverslip.formats import open_source, recognise
from coverslip.testing.networks import culture, write_system

EI1 = Path(__file__).parents[2] / "src" / "coverslip" / "systems" / "samples" / "EI1"


def test_a_system_of_the_peers_generator() -> None:
    assert recognise(EI1).kind == "network"
    source = open_source(EI1)
    network = Network(source.root)
    spans = network_files.ranges(EI1 / "cells.h5")
    assert (
        {name: (p.start, p.count) for name, p in network.populations.items()} == spans == {"EXC": (0, 8), "INH": (8, 2)}
    )
    for pre, post in network.projections:
        found = network_files.edges(EI1 / "connections.h5", pre, post)
        assert network.projection(pre, post).n_edges == sum(map(len, found.values()))
    assert network.n_edges == 39
    assert network.documents["graph"]["architecture"]["config"]["cell_counts"] == {"EXC": 8, "INH": 2}
    assert len(network.documents["mea"]["electrode_coordinates"]) == 1
    source.close()
    source.close()


@pytest.mark.parametrize("name", ["cells.h5", "connections.h5"])
def test_a_lone_file(name: str) -> None:
    assert recognise(EI1 / name).name == "neuroh5"
    assert Network(open_source(EI1 / name).root).n_neurons == 10


def test_one_file_for_all(tmp_path: Path) -> None:
    folder = write_system(tmp_path / "one", culture(20), single_file=True)
    assert recognise(folder).kind == "network"
    assert Network(open_source(folder).root).n_edges == Network(open_source(folder / "graph.h5").root).n_edges > 0


def test_other_folders_and_files_are_none(tmp_path: Path) -> None:
    (tmp_path / "cells.h5").write_bytes((EI1 / "cells.h5").read_bytes())
    with pytest.raises(UnknownFormat):  # one of the pair is missing: the file in it is a source of its own
        recognise(tmp_path)
    (tmp_path / "connections.h5").write_text("no HDF5")
    with pytest.raises(UnknownFormat):
        recognise(tmp_path)
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["H5Types"] = [1, 2]
    assert recognise(tmp_path / "plain.h5").name == "hdf5"


def test_a_change_of_any_part_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "EI1"
    shutil.copytree(EI1, folder)
    source = open_source(folder)
    assert source.fresh()
    for name in ("cells.h5", "connections.h5", "graph.json", "mea.json"):
        os.utime(folder / name, (1, 1))
        assert not source.fresh(), name
        again = open_source(folder)
        assert again.etag != source.etag
        source.close()
        source = again
    (folder / "connections.h5").unlink()
    assert not source.fresh()
    source.close()


def test_documents_that_are_none(tmp_path: Path) -> None:
    folder = tmp_path / "EI1"
    shutil.copytree(EI1, folder)
    (folder / "mea.json").unlink()
    assert "mea" not in Network(open_source(folder).root).documents
    for text in ("{", "[" * 100_000, "\xff"):
        (folder / "graph.json").write_text(text, "latin-1")
        with pytest.raises(Damaged, match=r"graph\.json is not JSON"):
            open_source(folder)
    for value in (None, [1], "text", {"architecture": []}, {"architecture": {"config": 3}}):
        (folder / "graph.json").write_text(json.dumps(value))
        assert Network(open_source(folder).root).coordinate_namespace == "Generated Coordinates"


def test_links_that_lead_out_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "EI1"
    shutil.copytree(EI1, folder)
    outside = tmp_path / "secret.json"
    outside.write_text("{}")
    (folder / "mea.json").unlink()
    (folder / "mea.json").symlink_to(outside)
    with pytest.raises(UnsafeLink):
        open_source(folder)
    (folder / "mea.json").unlink()
    (folder / "cells.h5").rename(tmp_path / "cells.h5")
    (folder / "cells.h5").symlink_to(tmp_path / "cells.h5")
    with pytest.raises(UnsafeLink):
        open_source(folder)


def test_truncated_anywhere(tmp_path: Path) -> None:
    folder = tmp_path / "EI1"
    shutil.copytree(EI1, folder)
    whole = (EI1 / "connections.h5").read_bytes()
    for size in (100, 2048, len(whole) // 2, len(whole) - 1):
        (folder / "connections.h5").write_bytes(whole[:size])
        with pytest.raises(CoverslipError) as caught:
            read_all(folder)
        assert caught.value.hint


def read_all(folder: Path) -> None:
    for projection in Network(open_source(folder).root).projections.values():
        projection.csr()
