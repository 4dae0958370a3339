"""MRC against mrcfile: a real map of the EMDB, and files it writes."""

import bz2
import gzip
import shutil
import struct
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from coverslip.core.errors import Damaged, UnknownFormat, Unsupported
from coverslip.formats import open_source, recognise
from coverslip.formats.mrc import FORMAT
from coverslip.testing import FormatTests, Golden
from formats.damaged import refused

REAL = Path(__file__).parent.parent / "golden" / "emd_3197.map"
RNG = np.random.default_rng(3)
# mrcfile 1.5, which writes the files here, does this; coverslip itself uses its description of the header only.
pytestmark = pytest.mark.filterwarnings("ignore:Setting the dtype on a NumPy array:DeprecationWarning")


def written(path, values, voxel=(1.5, 1.5, 3.0), extended=b"", stack=False):
    with mrcfile.new(path) as mrc:
        mrc.set_data(values)
        if extended:
            mrc.set_extended_header(np.frombuffer(extended, "V1"))
        if stack:
            mrc.set_image_stack()
        mrc.voxel_size = voxel
    return path


def ints(shape, dtype):
    return RNG.integers(0, 100, shape).astype(dtype)


def peer(path):
    with mrcfile.open(path) as mrc:
        return np.array(mrc.data)


class MrcTests(FormatTests):
    format_name = "mrc"
    raw_key = "ispg"


class TestRealMap(MrcTests):
    @pytest.fixture
    def sample(self, tmp_path):
        return Path(shutil.copy(REAL, tmp_path))

    def golden(self, sample):
        return {"": Golden(peer(sample), "zyx", steps=dict.fromkeys("zyx", 11.4), unit="angstrom")}


class TestRealMapInGzip(MrcTests):
    @pytest.fixture
    def sample(self, tmp_path):
        path = tmp_path / "emd_3197.map.gz"
        path.write_bytes(gzip.compress(REAL.read_bytes()))
        return path

    def golden(self, sample):
        return {"": Golden(peer(REAL), "zyx", steps=dict.fromkeys("zyx", 11.4), unit="angstrom")}


class TestSignedBytes(MrcTests):
    @pytest.fixture
    def sample(self, tmp_path):
        return written(tmp_path / "bytes.mrc", ints((5, 6, 7), "i1") - 50)

    def golden(self, sample):
        return {"": Golden(peer(sample), "zyx", steps={"z": 3.0, "y": 1.5, "x": 1.5}, unit="angstrom")}


class TestExtendedHeader(MrcTests):
    @pytest.fixture
    def sample(self, tmp_path):
        return written(tmp_path / "extended.rec", ints((5, 6, 7), "i2"), extended=b"\x7f" * 768)

    def golden(self, sample):
        return {"": Golden(peer(sample), "zyx", steps={"z": 3.0})}


class TestMovie(MrcTests):
    @pytest.fixture
    def sample(self, tmp_path):
        return written(tmp_path / "movie.mrc", ints((6, 20, 30), "u2"), stack=True)

    def golden(self, sample):
        return {"": Golden(peer(sample), "tyx", steps={"t": 1.0, "x": 1.5}, unit="angstrom")}


class TestHalfFloat(MrcTests):
    @pytest.fixture
    def sample(self, tmp_path):
        return written(tmp_path / "half.mrcs", RNG.normal(size=(4, 9, 8)).astype("f2"))

    def golden(self, sample):
        return {"": Golden(peer(sample), "tyx")}


class TestComplex(MrcTests):
    @pytest.fixture
    def sample(self, tmp_path):
        values = (RNG.normal(size=(4, 9, 8)) + 1j * RNG.normal(size=(4, 9, 8))).astype("c8")
        return written(tmp_path / "fft.mrc", values)

    def golden(self, sample):
        values = peer(sample)
        return {"": Golden(np.stack([values.real, values.imag]), "czyx", channels=("Real", "Imaginary"))}


class TestStackOfVolumes(MrcTests):
    @pytest.fixture
    def sample(self, tmp_path):
        return written(tmp_path / "volumes.mrc", RNG.normal(size=(3, 4, 6, 5)).astype("f4"))

    def golden(self, sample):
        return {"": Golden(peer(sample), "tzyx", steps={"z": 3.0, "t": 1.0})}


class TestBigEndian(MrcTests):
    @pytest.fixture
    def sample(self, tmp_path):
        path = written(tmp_path / "big.mrc", RNG.normal(size=(4, 6, 5)).astype(">f4"))
        assert path.read_bytes()[:4] == struct.pack(">i", 5)
        return path

    def golden(self, sample):
        return {"": Golden(peer(sample).astype("f4"), "zyx", steps={"z": 3.0})}


class TestOtherOrderOfAxes(MrcTests):
    """Columns run along z, rows along x, sections along y, as in maps of crystals."""

    @pytest.fixture
    def sample(self, tmp_path):
        path = written(tmp_path / "crystal.ccp4", ints((4, 5, 6), "i2"))
        with mrcfile.open(path, "r+") as mrc:
            mrc.header.mapc, mrc.header.mapr, mrc.header.maps = 3, 1, 2
            mrc.header.mx, mrc.header.my, mrc.header.mz = 5, 4, 6
            mrc.header.cella = (5 * 1.0, 4 * 2.0, 6 * 3.0)
        return path

    def golden(self, sample):
        pixels = peer(sample).transpose(2, 0, 1)
        return {"": Golden(pixels, "zyx", steps={"x": 1.0, "y": 2.0, "z": 3.0}, unit="angstrom")}


class TestOnePicture(MrcTests):
    @pytest.fixture
    def sample(self, tmp_path):
        return written(tmp_path / "micrograph.mrc", ints((40, 30), "i2"), voxel=0.8)

    def golden(self, sample):
        return {"": Golden(peer(sample), "yx", steps={"x": 0.8, "y": 0.8}, unit="angstrom")}


class TestRgbOfImod(MrcTests):
    """mrcfile does not know mode 16; the golden values are what was written."""

    pixels = ints((3, 4, 5, 3), "u1")

    @pytest.fixture
    def sample(self, tmp_path):
        path = written(tmp_path / "colour.st", ints((3, 4, 5), "i1"))
        head = bytearray(path.read_bytes()[:1024])
        struct.pack_into("<i", head, 12, 16)
        path.write_bytes(bytes(head) + self.pixels.tobytes())
        return path

    def golden(self, sample):
        labels = ("Red", "Green", "Blue")
        return {"": Golden(self.pixels.transpose(0, 3, 1, 2), "tcyx", channels=labels, rgb=True)}


class TestLarge(MrcTests):
    """Opening reads the header only; a pixel reads its row."""

    values = ints((24, 256, 256), "i2")

    @pytest.fixture
    def sample(self, tmp_path):
        return written(tmp_path / "large.rec", self.values)

    def golden(self, sample):
        return {"": Golden(self.values, "zyx", steps={"z": 3.0}, unit="angstrom")}


@pytest.fixture
def volume(tmp_path):
    return written(tmp_path / "volume.mrc", ints((5, 6, 7), "i1"))


def patched(path, where, layout, *values):
    data = bytearray(path.read_bytes())
    struct.pack_into(layout, data, where, *values)
    path.write_bytes(data)
    return path


def pixels(path):
    source = open_source(path)
    try:
        return source.root.array("0").read_all()
    finally:
        source.close()


def test_slightly_wrong_headers_are_read(volume):
    golden = peer(volume)
    patched(volume, 208, "4s", b"\0\0\0\0")  # no stamp
    patched(volume, 212, "4s", b"\1\2\3\4")  # no machine stamp
    volume.write_bytes(volume.read_bytes() + b"rest of a block")
    np.testing.assert_array_equal(pixels(volume), golden)
    patched(volume, 64, "<3i", 0, 0, 0)
    np.testing.assert_array_equal(pixels(volume), golden)


def test_imod_says_bytes_are_unsigned(volume):
    patched(volume, 1024, "B", 200)
    assert pixels(volume).dtype == np.int8
    patched(volume, 152, "<2i", 1146047817, 1)
    assert pixels(volume).dtype == np.int8
    patched(volume, 152, "<2i", 1146047817, 0)
    assert pixels(volume).dtype == np.uint8
    assert pixels(volume)[0, 0, 0] == 200


def test_unknown_pixel_size(volume):
    patched(volume, 40, "<3f", 0.0, float("nan"), -1.0)
    source = open_source(volume)
    scale = source.root.attrs["ome"]["multiscales"][0]
    assert scale["datasets"][0]["coordinateTransformations"][0]["scale"] == [1, 1, 1]
    assert all("unit" not in axis for axis in scale["axes"])
    source.close()


def test_labels_hold_no_folders(volume):
    patched(volume, 220, "<i", 1)
    patched(volume, 224, "80s", b"newstack /home/ada/secret/in.mrc C:\\data\\ada\\out.mrc".ljust(80))
    source = open_source(volume)
    labels = source.root.attrs["coverslip"]["raw"]["mrc"]["label"]
    assert labels[0] == "newstack in.mrc out.mrc"
    source.close()


def test_what_is_refused(volume, tmp_path):
    size = volume.stat().st_size
    shorter = Path(shutil.copy(volume, tmp_path / "short.mrc"))
    with shorter.open("r+b") as file:
        file.truncate(size - 1)
    with pytest.raises(Damaged, match="ends too early"):
        open_source(shorter)
    with pytest.raises(Unsupported, match="mode 101"):
        open_source(patched(Path(shutil.copy(volume, tmp_path / "four.mrc")), 12, "<i", 101))
    (tmp_path / "a.mrc.bz2").write_bytes(bz2.compress(volume.read_bytes()))
    with pytest.raises(Unsupported, match="bzip2"):
        open_source(tmp_path / "a.mrc.bz2")
    (tmp_path / "text.mrc").write_text("no map")
    with pytest.raises(Damaged):
        open_source(tmp_path / "text.mrc")


def test_other_files_of_the_same_suffix_are_not_claimed(tmp_path):
    for name, text in (("app.js.map", b'{"version":3}' * 500), ("a.rec", b"\0" * 5000), ("a.st", b"x" * 2000)):
        (tmp_path / name).write_bytes(text)
        with pytest.raises(UnknownFormat):
            recognise(tmp_path / name)


def test_recognised_by_its_stamp(volume, tmp_path):
    assert recognise(volume.rename(tmp_path / "no_suffix")).name == "mrc"


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_damage_is_always_named(tmp_path, pack):
    assert refused(FORMAT, pack(REAL.read_bytes()), tmp_path, ".mrc", 13, 150, 230) > 40
