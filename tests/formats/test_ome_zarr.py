"""OME-Zarr: every version, both Zarr formats, plates, labels, collections and zip files."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import numcodecs
import numpy as np
import pytest
import zarr

from coverslip.formats import open_source
from coverslip.testing import FormatTests
from coverslip.testing.formats import Golden
from zarr_files import V3_CODECS, axes, datasets, pixels, pyramid, write_array, write_group, write_image, zipped

DATA = pixels((2, 3, 4, 40, 33), "uint16")
LEVELS = pyramid(DATA, 3)
OMERO = {
    "channels": [
        {
            "label": "DAPI",
            "color": "0000ff",
            "active": True,
            "window": {"min": 0, "max": 99, "start": 10, "end": 50},
        },
        {"label": "GFP", "color": "00FF00", "active": False, "window": {"min": 0, "max": 99, "start": 0, "end": 5}},
        {"label": "Cy5", "color": "FF00FF"},
    ],
    "rdefs": {"model": "color"},
}
STEPS = [2.5, 1.0, 1.5, 0.65, 0.65]


class Zarrs(FormatTests):
    format_name = "ome-zarr"

    @pytest.fixture
    def sample(self, once: Any) -> Path:
        return once(self.write)

    def write(self, folder: Path) -> Path:
        """The sample, in an empty folder."""
        raise NotImplementedError


class TestVersion4(Zarrs):
    """0.4 in Zarr v2: blosc with bitshuffle, flat keys, a pyramid, channels."""

    raw_key = "omero"

    def write(self, folder: Path) -> Path:
        ome = {
            "multiscales": [
                {"version": "0.4", "name": "cells", "axes": axes("tczyx"), "datasets": datasets(3, STEPS)},
            ],
            "omero": OMERO,
        }
        codec = numcodecs.Blosc(cname="zstd", clevel=3, shuffle=numcodecs.Blosc.BITSHUFFLE)
        return write_image(folder / "a.zarr", LEVELS, ome, 2, compressors=codec)

    def golden(self, sample: Path) -> dict[str, Golden]:
        steps = dict(zip("tczyx", STEPS, strict=True))
        colors = ["0000FF", "00FF00", "FF00FF"]
        return {"": Golden(DATA, "tczyx", steps, "micrometer", ["DAPI", "GFP", "Cy5"], colors, levels=3)}

    def test_windows_and_what_is_shown(self, source: Any) -> None:
        channels = source.root.attrs["ome"]["omero"]["channels"]
        assert channels[0]["window"] == {"min": 0, "max": 99, "start": 10, "end": 50}
        assert [c["active"] for c in channels] == [True, False, True]
        assert "window" not in channels[2]

    def test_every_level_has_its_own_scale(self, source: Any) -> None:
        found = source.root.attrs["ome"]["multiscales"][0]
        assert found["name"] == "cells"
        scales = [d["coordinateTransformations"][0]["scale"] for d in found["datasets"]]
        assert scales == [[*STEPS[:3], 0.65 * f, 0.65 * f] for f in (1, 2, 4)]
        for name, level in zip("012", LEVELS, strict=True):
            np.testing.assert_array_equal(source.root.array(name).read_all(), level)


class TestVersion5Sharded(Zarrs):
    """0.5 in Zarr v3: shards of zstd chunks."""

    data = pixels((3, 64, 96), "uint8")

    def write(self, folder: Path) -> Path:
        ome = {"multiscales": [{"axes": axes("cyx", "nanometer"), "datasets": datasets(2, [1.0, 108.0, 108.0])}]}
        options = {"chunks": (1, 16, 16), "shards": (3, 32, 32), "compressors": V3_CODECS["zstd"]}
        return write_image(folder / "b.ome.zarr", pyramid(self.data, 2), ome, **options)

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "cyx", {"y": 108.0, "x": 108.0}, "nanometer", levels=2)}

    def test_chunks_are_those_inside_shards(self, source: Any) -> None:
        array = source.root.array("0")
        assert array.spec.chunks == (1, 16, 16)
        assert array.layout.chunk_shape == (3, 32, 32)


class TestLarge(Zarrs):
    """Opening reads metadata only; a pixel reads one chunk of a shard, not the shard."""

    data = pixels((4, 512, 640), "uint16")

    def write(self, folder: Path) -> Path:
        ome = {"multiscales": [{"axes": axes("cyx"), "datasets": datasets(3, [1.0, 0.5, 0.5])}]}
        options = {"chunks": (1, 128, 128), "shards": (4, 512, 640), "compressors": V3_CODECS["zstd"]}
        return write_image(folder / "large.zarr", pyramid(self.data, 3), ome, **options)

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "cyx", {"x": 0.5}, "micrometer", levels=3)}


@pytest.mark.parametrize("codec", list(V3_CODECS))
@pytest.mark.parametrize("dtype", ["int8", "uint32", "float32", "float64", "bool", "int64", "float16"])
def test_every_codec_and_dtype(tmp_path: Path, codec: str, dtype: str) -> None:
    data = pixels((20, 37), dtype)
    ome = {"multiscales": [{"axes": axes("yx"), "datasets": datasets(1, [1.0, 1.0])}]}
    source = open_source(write_image(tmp_path / "c.zarr", [data], ome, compressors=V3_CODECS[codec]))
    np.testing.assert_array_equal(source.root.array("0").read_all(), data)
    source.close()


class TestBigEndianNested(Zarrs):
    """0.4 with big-endian pixels in Fortran order, chunks in folders, and transformations of the whole image."""

    data = pixels((5, 30, 21), ">f4")

    def write(self, folder: Path) -> Path:
        level = [{"type": "scale", "scale": [2.0, 1.0, 1.0]}, {"type": "translation", "translation": [1.0, 2.0, 3.0]}]
        whole = [{"type": "scale", "scale": [0.5, 0.25, 0.125]}, {"type": "translation", "translation": [10.0, 0, 0]}]
        scale = {
            "version": "0.4",
            "axes": axes("zyx", "um"),
            "datasets": [{"path": "full/data", "coordinateTransformations": level}],
            "coordinateTransformations": whole,
        }
        path = write_group(folder / "d.zarr", {"multiscales": [scale]}, 2)
        write_array(
            path / "full" / "data", self.data, 2, order="F", compressors=numcodecs.Zlib(),
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )  # fmt: skip
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "zyx", {"z": 1.0, "y": 0.25, "x": 0.125}, "micrometer")}

    def test_origins_come_after_both_scales(self, source: Any) -> None:
        transforms = source.root.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
        assert transforms[1] == {"type": "translation", "translation": [10.5, 0.5, 0.375]}


class TestUnusualOrder(Zarrs):
    """Axes that the file has in another order than t c z y x."""

    data = pixels((12, 20, 2, 7), "int16")

    def write(self, folder: Path) -> Path:
        ome = {"multiscales": [{"axes": axes("xyct"), "datasets": datasets(1, [0.1, 0.2, 1.0, 60.0])}], "omero": OMERO}
        return write_image(folder / "e.zarr", [self.data], ome)

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {
            "": Golden(
                self.data.transpose(3, 2, 1, 0), "tcyx", {"t": 60.0, "y": 0.2, "x": 0.1}, "micrometer", ["DAPI", "GFP"]
            )
        }


class TestRgb(Zarrs):
    """Three channels of bytes in red, green and blue are one picture."""

    data = pixels((3, 20, 30), "uint8")

    def write(self, folder: Path) -> Path:
        channels = [{"label": n, "color": c} for n, c in zip("RGB", ("FF0000", "00FF00", "0000FF"), strict=True)]
        ome = {
            "multiscales": [{"axes": axes("cyx"), "datasets": datasets(1, [1.0, 0.5, 0.5])}],
            "omero": {"channels": channels},
        }
        return write_image(folder / "f.zarr", [self.data], ome)

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "cyx", channels="RGB", colors=["FF0000", "00FF00", "0000FF"], rgb=True)}


class TestOldVersions(Zarrs):
    """0.1 and 0.2 name no axes, 0.3 gives names only; none gives sizes."""

    @pytest.fixture(params=["0.1", "0.2", "0.3"])
    def sample(self, once: Any, request: pytest.FixtureRequest) -> Path:
        return once(lambda folder: self.old(folder, request.param))

    def old(self, folder: Path, version: str) -> Path:
        scale: dict[str, Any] = {"version": version, "datasets": [{"path": "0"}, {"path": "1"}]}
        if version == "0.3":
            scale["axes"] = ["t", "c", "z", "y", "x"]
        path = write_image(folder / "old.zarr", LEVELS[:2], {"multiscales": [scale]}, 2, chunks=(1, 1, 2, 20, 20))
        if version == "0.2":  # nested chunks, and metadata from before it told so
            for level in ("0", "1"):
                for chunk in [f for f in (path / level).iterdir() if not f.name.startswith(".")]:
                    target = path / level / chunk.name.replace(".", "/")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    chunk.rename(target)
                meta = json.loads((path / level / ".zarray").read_text())
                del meta["dimension_separator"]
                (path / level / ".zarray").write_text(json.dumps(meta))
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(DATA, "tczyx", dict.fromkeys("tczyx", 1.0), levels=2)}


class Plates(Zarrs):
    version: ClassVar[int]
    fields: ClassVar = {
        f"{well}/{field}": pixels((2, 20, 20), "uint16", 2 * i + field)
        for i, well in enumerate(("A/1", "A/2", "B/1"))
        for field in (0, 1)
    }

    def write(self, folder: Path) -> Path:
        wells = [
            {"path": w, "rowIndex": "AB".index(w[0]), "columnIndex": int(w[2]) - 1}
            for w in ("A/1", "A/2", "B/1", "B/2")
        ]
        plate = {"name": "screen", "rows": [{"name": "A"}, {"name": "B"}], "columns": [{"name": "1"}, {"name": "2"}],
                 "wells": wells, "field_count": 2}  # fmt: skip
        path = folder / "plate.zarr"

        def group(at: Path, ome: dict[str, Any]) -> None:
            attributes = ome if self.version == 2 else {"ome": {"version": "0.5", **ome}}
            write_group(at, attributes, self.version)

        group(path, {"plate": plate})
        for row in "AB":
            write_group(path / row, {}, self.version)
        for well in ("A/1", "A/2", "B/1"):  # B/2 was not imaged
            group(path / well, {"well": {"images": [{"path": "0", "acquisition": 0}, {"path": "1", "acquisition": 0}]}})
        for at, data in self.fields.items():
            ome = {"multiscales": [{"axes": axes("cyx"), "datasets": datasets(1, [1.0, 0.3, 0.3])}]}
            write_image(path / at, [data], ome, self.version)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {at: Golden(data, "cyx", {"x": 0.3}, "micrometer") for at, data in self.fields.items()}

    def test_the_plate_and_its_wells_are_described(self, source: Any) -> None:
        assert source.root.attrs["ome"]["plate"]["name"] == "screen"
        assert len(source.root.attrs["ome"]["plate"]["wells"]) == 4
        assert source.root["A"]["2"].attrs["ome"]["well"]["images"][1]["path"] == "1"
        assert list(source.root) == ["A", "B"]
        assert list(source.root["B"]) == ["1"]


class TestPlate4(Plates):
    version = 2


class TestPlate5(Plates):
    version = 3


class TestOneWell(Zarrs):
    """A well that is offered without its plate."""

    data = pixels((9, 9), "uint8")

    def write(self, folder: Path) -> Path:
        path = write_group(folder / "well", {"ome": {"version": "0.5", "well": {"images": [{"path": "f0"}]}}})
        ome = {"multiscales": [{"axes": axes("yx"), "datasets": datasets(1, [1.0, 1.0])}]}
        write_image(path / "f0", [self.data], ome)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"f0": Golden(self.data, "yx")}


class TestZip(Zarrs):
    """``.ozx``: a zip file of stored entries."""

    data = pixels((4, 50, 40), "uint16")

    def write(self, folder: Path) -> Path:
        ome = {"multiscales": [{"axes": axes("zyx"), "datasets": datasets(2, [1.0, 0.5, 0.5])}]}
        plain = write_image(folder / "plain", pyramid(self.data, 2), ome, shards=(4, 32, 32), chunks=(1, 16, 16))
        return zipped(plain, folder / "a.ozx")

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "zyx", {"z": 1.0, "y": 0.5}, "micrometer", levels=2)}


class TestDeflatedZip(TestZip):
    """``.zarr.zip`` of Zarr v2 with compressed entries."""

    def write(self, folder: Path) -> Path:
        ome = {"multiscales": [{"axes": axes("zyx"), "datasets": datasets(2, [1.0, 0.5, 0.5])}]}
        plain = write_image(folder / "plain", pyramid(self.data, 2), ome, 2, compressors=None)
        return zipped(plain, folder / "a.zarr.zip", zipfile.ZIP_DEFLATED)


class TestCollection(Zarrs):
    """``bioformats2raw.layout``: several images, in the order of the OME group."""

    series: ClassVar = {"1": pixels((8, 9), "uint8", 1), "0": pixels((2, 8, 9), "uint16", 2)}

    def write(self, folder: Path) -> Path:
        path = write_group(folder / "scan.zarr", {"bioformats2raw.layout": 3}, 2)
        write_group(path / "OME", {"series": list(self.series)}, 2)
        (path / "OME" / "METADATA.ome.xml").write_text("<OME/>")
        for name, data in self.series.items():
            n = axes("cyx"[-data.ndim :])
            ome = {"multiscales": [{"axes": n, "datasets": datasets(1, [1.0] * data.ndim), "name": f"series {name}"}]}
            write_image(path / name, [data], ome, 2)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {name: Golden(data, "cyx"[-data.ndim :]) for name, data in self.series.items()}

    def test_the_order_is_the_files(self, source: Any) -> None:
        assert list(source.root) == ["1", "0"]
        assert source.root["1"].attrs["ome"]["multiscales"][0]["name"] == "series 1"

    def test_without_an_ome_group_series_are_numbered(self, sample: Path) -> None:
        shutil.rmtree(sample / "OME")
        source = open_source(sample)
        assert list(source.root) == ["0", "1"]
        source.close()


class TestLabels(Zarrs):
    """Label images of an image."""

    data, objects = pixels((40, 40), "uint16"), pixels((40, 40), "int32")

    @pytest.fixture(params=[2, 3])
    def sample(self, once: Any, request: pytest.FixtureRequest) -> Path:
        return once(lambda folder: self.labelled(folder, request.param))

    def labelled(self, folder: Path, version: int) -> Path:
        ome = {"multiscales": [{"axes": axes("yx"), "datasets": datasets(1, [0.2, 0.2])}]}
        path = write_image(folder / "g.zarr", [self.data], ome, version)
        named = {"labels": ["nuclei", "gone"]}
        write_group(path / "labels", named if version == 2 else {"ome": {"version": "0.5", **named}}, version)
        label = {"colors": [{"label-value": 1, "rgba": [255, 0, 0, 255]}], "source": {"image": "../../"}}
        levels = pyramid(self.objects, 2)
        ome = {"multiscales": [{"axes": axes("yx"), "datasets": datasets(2, [0.2, 0.2])}], "image-label": label}
        write_image(path / "labels" / "nuclei", levels, ome, version)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "yx"), "labels/nuclei": Golden(self.objects, "yx", levels=2)}

    def test_labels_are_marked(self, source: Any) -> None:
        assert source.root["labels"].attrs["ome"]["labels"] == ["nuclei"]
        assert source.root["labels"]["nuclei"].attrs["ome"]["image-label"]["colors"][0]["label-value"] == 1
        assert "image-label" not in source.root.attrs["ome"]

    def test_a_folder_of_labels_can_be_offered_itself(self, sample: Path) -> None:
        source = open_source(sample / "labels")
        np.testing.assert_array_equal(source.root["nuclei"].array("0").read_all(), self.objects)
        source.close()


class TestSpatialDataWithoutTables(Zarrs):
    """Images and labels of a SpatialData store; one with tables is `coverslip.formats.spatialdata`'s."""

    picture, cells = pixels((3, 24, 24), "uint8"), pixels((24, 24), "int64")

    def write(self, folder: Path) -> Path:
        path = write_group(folder / "sd.zarr", {"spatialdata_attrs": {"version": "0.2"}})
        for part in ("images", "labels", "tables"):
            write_group(path / part, {})
        ome = {"multiscales": [{"axes": axes("cyx", None), "datasets": datasets(2, [1.0, 1.0, 1.0])}]}
        write_image(path / "images" / "he", pyramid(self.picture, 2), ome)
        ome = {"multiscales": [{"axes": axes("yx", None), "datasets": datasets(1, [1.0, 1.0])}]}
        write_image(path / "labels" / "cells", [self.cells], ome)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"images/he": Golden(self.picture, "cyx", levels=2), "labels/cells": Golden(self.cells, "yx")}

    def test_labels_are_marked(self, source: Any) -> None:
        assert "image-label" in source.root["labels"]["cells"].attrs["ome"]


class TestRealOldFiles(Zarrs):
    """What ome-zarr-py wrote in 2020 and 2021, against zarr-python."""

    @pytest.fixture(params=["0.1", "0.2"])
    def sample(self, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
        kept = Path(__file__).parents[1] / "golden" / "ome-zarr" / f"{request.param}.zarr"
        return shutil.copytree(kept, tmp_path / kept.name)

    def golden(self, sample: Path) -> dict[str, Golden]:
        data = np.asarray(zarr.open_array(sample / "0", mode="r")[...])
        assert data.any()
        return {"": Golden(data, "tczyx")}
