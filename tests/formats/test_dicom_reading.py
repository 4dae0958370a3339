"""How DICOM files are read: a part, once for all threads; and files that are damaged or lie."""

import os
import random
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import imagecodecs
import numpy as np
import pytest
from dicom_tests import _opens, ints, real

from coverslip.core.errors import Damaged, NotFound, Unreadable, Unsupported
from coverslip.core.spec import Box
from coverslip.formats import open_source
from coverslip.formats.trees import dicom_pixels
from formats.dicom_files import compressed, dataset, save
from fuzz import rounds


def test_what_holds_no_pixels():
    with pytest.raises(Unsupported, match="no pixels"):
        open_source(real("rtplan.dcm"))
    with pytest.raises(Damaged, match="too early"):
        open_source(real("MR_truncated.dcm"))


def test_a_box_reads_its_rows_only(tmp_path, monkeypatch):
    values = ints((8, 100, 200), "u2")
    path = save(dataset(values), tmp_path / "a.dcm")
    source = open_source(path)
    asked = []
    pread = dicom_pixels._pread
    monkeypatch.setattr(dicom_pixels, "_pread", lambda fd, at, n, name: asked.append(n) or pread(fd, at, n, name))
    part = source.root.array("0").read(Box((5, 10, 20), (6, 14, 60)))
    np.testing.assert_array_equal(part[0], values[5, 10:14, 20:60])
    assert asked == [4 * 200 * 2]
    source.close()


def test_a_frame_is_decoded_once_for_all_threads(tmp_path, monkeypatch):
    values = ints((64, 64), "u2")
    frame = imagecodecs.jpegls_encode(values)
    source = open_source(save(compressed(dataset(values), "1.2.840.10008.1.2.4.80", [frame]), tmp_path / "a.dcm"))
    calls, decode, gate = [], dicom_pixels.decode, threading.Barrier(8)
    monkeypatch.setattr(dicom_pixels, "decode", lambda *given: calls.append(1) or decode(*given))
    array = source.root.array("0")

    def tile(i):
        gate.wait()
        return array.read(Box((8 * i, 0), (8 * i + 8, 64)))

    with ThreadPoolExecutor(8) as pool:
        found = np.concatenate(list(pool.map(tile, range(8))))
    np.testing.assert_array_equal(found, values)
    assert len(calls) == 1
    found[:] = 0  # what is kept is not what was given
    np.testing.assert_array_equal(array.read_all(), values)
    source.close()


def test_a_file_that_changed_is_not_read(tmp_path):
    path = save(dataset(ints((4, 5))), tmp_path / "a.dcm")
    source = open_source(path)
    save(dataset(ints((4, 5))), path)
    os.utime(path, ns=(0, 0))
    with pytest.raises(Unreadable, match="changed"):
        source.root.array("0").read_all()
    path.unlink()
    with pytest.raises(Unreadable):
        source.root.array("0").read_all()
    source.close()
    with pytest.raises(NotFound):
        open_source(path)


def test_a_huge_codestream_is_refused_before_it_is_decoded(tmp_path):
    frame = bytearray(imagecodecs.jpeg2k_encode(ints((16, 16), "u2")))
    at = frame.find(b"\xff\x4f\xff\x51") + 8
    frame[at : at + 8] = b"\x7f\xff\xff\xff" * 2
    path = save(compressed(dataset(ints((16, 16), "u2")), "1.2.840.10008.1.2.4.90", [bytes(frame)]), tmp_path / "a.dcm")
    source = open_source(path)
    with pytest.raises(Damaged, match="the header says"):
        source.root.array("0").read_all()
    source.close()


def test_offsets_in_rle_are_not_trusted(tmp_path):
    """Decoders of whole frames read outside their memory for such a header."""
    values = ints((16, 16), "u2")
    rng = random.Random(29)
    for turn in range(50):
        starts = [rng.choice((0, 64, 70, 2**31, 2**32 - 1)) for _ in range(2)]
        frame = struct.pack("<16I", rng.choice((0, 1, 2, 3, 200)), *starts, *[0] * 13) + b"\x81\0" * 4
        path = save(compressed(dataset(values), "1.2.840.10008.1.2.5", [frame]), tmp_path / f"{turn}.dcm")
        source = open_source(path)
        with pytest.raises(Damaged):
            source.root.array("0").read_all()
        source.close()


def test_a_truncated_jpeg_ls_frame_is_refused_at_once(tmp_path):
    values = np.arange(60 * 70 * 3).reshape(60, 70, 3).astype("u1")
    frame = imagecodecs.jpegls_encode(values)
    frame = frame[: len(frame) // 2 * 2 - 20]
    path = save(compressed(dataset(values), "1.2.840.10008.1.2.4.80", [frame]), tmp_path / "a.dcm")
    source = open_source(path)
    began = time.perf_counter()
    with pytest.raises(Damaged):
        source.root.array("0").read_all()
    assert time.perf_counter() - began < 5
    source.close()


FUZZED = ["CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm", "MR_small_jpeg_ls_lossless.dcm",
          "rtdose_expb.dcm", "image_dfl.dcm", "liver_1frame.dcm", "SC_rgb_small_odd_big_endian.dcm"]  # fmt: skip


@pytest.mark.parametrize("name", FUZZED)
def test_damage_is_always_named(tmp_path, name):
    whole = real(name).read_bytes()
    rng = random.Random(19)
    refused = 0
    for turn in rounds(30):
        data = bytearray(whole)
        if turn % 3 == 0:
            del data[rng.randrange(140, len(data)) :]
        for _ in range(rng.choice((1, 3, 40))):
            data[rng.randrange(132, min(len(data), rng.choice((1500, len(data)))) + 1) - 1] = rng.randrange(256)
        path = tmp_path / f"{turn}.dcm"
        path.write_bytes(data)
        refused += not _opens(path)
    assert refused > 7
