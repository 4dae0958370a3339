"""How TIFF files are read: rows, files that stay open, files that are replaced; and damage."""

from __future__ import annotations

import gc
import os
import random
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tiff_files import noise

from coverslip.core.errors import CoverslipError, Damaged, Unsupported
from coverslip.core.node import Array, Group, Source
from coverslip.core.spec import Box
from coverslip.formats import open_source, recognise
from coverslip.formats.trees import tiff_bytes
from coverslip.formats.trees.ome_xml import short_path
from fuzz import rounds


def test_a_wide_image_is_read_by_rows(tmp_path: Path) -> None:
    data = noise((40, 30_000))
    path = tmp_path / "wide.tif"
    tifffile.imwrite(path, data, metadata=None)
    source = open_source(path)
    box = Box((3, 11_000), (37, 11_256))
    np.testing.assert_array_equal(source.root.array("0").read(box), data[box.slices])
    source.close()


def test_volumes_in_one_page(tmp_path: Path) -> None:
    data = noise((20, 48, 64), "uint8")
    path = tmp_path / "volume.tif"
    tifffile.imwrite(path, data, volumetric=True, tile=(16, 32, 32), compression="zlib", metadata=None)
    source = open_source(path)
    array = source.root.array("0")
    np.testing.assert_array_equal(array.read_all(), data)
    np.testing.assert_array_equal(array.read(Box((3, 5, 7), (18, 40, 9))), data[3:18, 5:40, 7:9])
    source.close()


def test_few_files_stay_open(tmp_path: Path) -> None:
    data = noise((8, 8))
    sources = []
    for i in range(tiff_bytes.MOST_OPEN + 20):
        tifffile.imwrite(tmp_path / f"{i}.tif", data + i)
        sources.append(open_source(tmp_path / f"{i}.tif"))
    assert not _open_below(tmp_path)
    for i, source in enumerate(sources):
        assert source.root.array("0").read_all()[0, 0] == (data + i)[0, 0]
    assert len(_open_below(tmp_path)) <= tiff_bytes.MOST_OPEN
    del source, sources[0]  # dropped, not closed
    for source in sources:
        source.close()
    assert not _open_below(tmp_path)


def test_memory_collected_while_a_file_is_looked_for_waits_for_nothing(tmp_path: Path) -> None:
    """The collector runs wherever memory is taken, also where the lock of the pool of files is held."""
    tifffile.imwrite(tmp_path / "a.tif", noise((8, 8)))
    file = tiff_bytes.FileBytes(tmp_path / "a.tif")
    assert len(file.read(0, 4)) == 4
    cycle = [file]
    cycle.append(cycle)  # type: ignore[arg-type]
    del file, cycle

    def collect() -> None:
        with tiff_bytes._lock:
            gc.collect()

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert len(_open_below(tmp_path)) == 1
    tifffile.imwrite(tmp_path / "b.tif", noise((8, 8)))
    after = tiff_bytes.FileBytes(tmp_path / "b.tif")
    assert len(after.read(0, 4)) == 4
    assert _open_below(tmp_path) == [str(tmp_path / "b.tif")]
    after.close()


def _open_below(folder: Path) -> list[str]:
    links = (os.path.realpath(link) for link in Path("/proc/self/fd").iterdir())
    return [target for target in links if target.startswith(str(folder))]


def test_a_file_that_is_replaced_gives_no_mixture(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise((30, 30)))
    source = open_source(path)
    tifffile.imwrite(tmp_path / "b.tif", noise((30, 30))[::-1])
    (tmp_path / "b.tif").replace(path)
    with pytest.raises(Damaged, match="changed"):
        source.root.array("0").read_all()
    source.close()


@pytest.mark.parametrize(
    "junk", [b"II*\0", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\0", b"II+\0\x08\0\0\0", b"II*\0\xff\xff\xff\x7f"]
)
def test_what_only_starts_like_tiff(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(junk)
    with pytest.raises(Damaged) as caught:
        open_source(path)
    assert "\n" not in str(caught.value)


def test_a_circle_of_pages_ends(tmp_path: Path) -> None:
    path = tmp_path / "circle.tif"
    with tifffile.TiffWriter(path) as writer:
        for plane in noise((80, 8, 8)):
            writer.write(plane, metadata=None)
    with tifffile.TiffFile(path) as tif:
        last, second = tif.pages[79].offset, tif.pages[1].offset
    data = bytearray(path.read_bytes())
    count = int.from_bytes(data[last : last + 2], "little")
    data[last + 2 + 12 * count : last + 6 + 12 * count] = second.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(Damaged, match="circle"):
        open_source(path)


def test_an_unknown_compression_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise((16, 16)), compression="zlib", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages.first.tags[259].overwrite(40_000)
    with pytest.raises(Unsupported, match="40000"):
        open_source(path)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd", "jpeg"])
@pytest.mark.parametrize("flavour", ["plain", "imagej", "ome"])
def test_damaged_bytes_give_clear_errors(tmp_path: Path, compression: str | None, flavour: str) -> None:
    """Cut and flipped bytes, anywhere: either pixels or one line that says what is wrong."""
    path = tmp_path / ("a.ome.tif" if flavour == "ome" else "a.tif")
    data = noise((3, 40, 40), "uint8")
    options = {"imagej": True} if flavour == "imagej" else {"tile": (16, 16)}
    tifffile.imwrite(path, data, compression=compression, photometric="minisblack", **options)  # type: ignore[arg-type]
    good = path.read_bytes()
    rng = random.Random(5)
    refused = 0
    for attempt in rounds(40):
        bad = bytearray(good)
        if attempt % 3 == 0:
            del bad[rng.randrange(len(bad)) :]
        else:
            top = 1500 if attempt % 3 == 1 else len(bad)
            for _ in range(rng.choice((1, 4, 20))):
                bad[rng.randrange(min(top, len(bad)))] ^= 1 << rng.randrange(8)
        path.write_bytes(bad)
        refused += _refused(path)
    assert refused > 7


def _refused(path: Path) -> bool:
    source: Source | None = None
    try:
        recognise(path)
        source = open_source(path)
        for array in _arrays(source.root):
            shape = array.spec.shape
            array.read(Box((0,) * len(shape), tuple(min(n, 64) for n in shape)))
    except CoverslipError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return True
    finally:
        if source is not None:
            source.close()
    return False


def _arrays(group: Group) -> list[Array]:
    found: list[Array] = []
    for name in group:
        node = group[name]
        found += [node] if isinstance(node, Array) else _arrays(node)
    return found


def test_paths_in_metadata_lose_their_folders() -> None:
    assert short_path("location = C:\\Users\\eve\\data\\a.tif") == "location = a.tif"
    assert short_path("/home/eve/data/a.tif") == "a.tif"
    assert short_path("\\\\server\\share\\a.tif") == "a.tif"
    kept = "um/pixel 1/2 http://www.openmicroscopy.org/Schemas/OME and/or"
    assert short_path(kept) == kept
