"""Uploads: any order, any number of times, by many at once; nothing half done is ever seen."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uploads_lab
import zarr
from uploads_lab import PIXELS, RNG, again, chunks, declared, part, read

from coverslip.core.errors import Ambiguous, DiskFull, Unreadable
from coverslip.domains.images import Images
from coverslip.engine.overlay import Nothing
from coverslip.engine.upload import DISCARDED, PENDING, READY, UploadOver
from coverslip.engine.uploads import Uploads
from disks import small_disk

uploads = uploads_lab.uploads


def test_any_order_any_number_of_times_by_many_at_once(uploads: Uploads) -> None:
    wanted = declared()
    upload = uploads.add(wanted)
    assert (upload.state, wanted.expected, len(upload.written)) == (PENDING, 18, 0)
    order = [chunks(wanted)[i] for i in RNG.permutation(18)] * 2

    def send(mine: list[tuple[int, ...]]) -> None:
        for index in mine:
            uploads.write(upload.array_id, index, part(wanted, index))

    threads = [threading.Thread(target=send, args=(order[n::3],)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(upload.written) == 18
    uploads.publish(upload.array_id)
    assert np.array_equal(read(uploads, "scratch", "@fields/liver"), PIXELS)
    stored: Any = zarr.open_group(uploads.folder / "scratch" / "@fields" / "liver", mode="r")
    assert np.array_equal(stored["0"][:], PIXELS)
    assert stored.attrs["ome"]["multiscales"][0]["axes"][0] == {"name": "z", "type": "space", "unit": "micrometer"}


def test_nothing_is_seen_before_it_is_published(uploads: Uploads) -> None:
    seen: list[str] = []
    uploads.changed = seen.append
    upload = uploads.add(declared())
    uploads.write(upload.array_id, (0, 0, 0), part(upload.declared, (0, 0, 0)))
    assert Images(uploads.overlay("scratch", Nothing())).paths == ()
    assert [p.name for p in uploads.folder.iterdir()] == [".uploads"]
    source = uploads.overlay("scratch", Nothing())
    uploads.publish(upload.array_id)
    assert seen == ["scratch"]
    assert not source.fresh()
    assert Images(uploads.overlay("scratch", Nothing())).paths == ("@fields/liver",)


def test_chunks_that_never_came_are_zero(uploads: Uploads) -> None:
    upload = uploads.add(declared())
    uploads.write(upload.array_id, (1, 1, 2), part(upload.declared, (1, 1, 2)))
    uploads.publish(upload.array_id)
    expected = np.zeros_like(PIXELS)
    expected[1, 32:, 64:] = PIXELS[1, 32:, 64:]
    assert np.array_equal(read(uploads, "scratch", "@fields/liver"), expected)


def test_what_is_published_is_final(uploads: Uploads) -> None:
    upload = uploads.add(declared())
    uploads.publish(upload.array_id)
    assert uploads.publish(upload.array_id).state == READY
    with pytest.raises(UploadOver, match="finished") as over:
        uploads.write(upload.array_id, (0, 0, 0), part(upload.declared, (0, 0, 0)))
    assert (over.value.state, over.value.array_id) == (READY, upload.array_id)


def test_what_is_discarded_is_gone_from_disk(uploads: Uploads) -> None:
    upload, other = uploads.add(declared()), uploads.add(declared("scratch/@fields/other"))
    uploads.publish(upload.array_id)
    for name, was in ((upload.array_id, READY), (other.array_id, PENDING)):
        assert uploads.get(name).state == was  # type: ignore[union-attr]
        assert uploads.discard(name, "not needed").state == DISCARDED  # type: ignore[union-attr]
        with pytest.raises(UploadOver, match="not needed"):
            uploads.write(name, (0, 0, 0), part(upload.declared, (0, 0, 0)))
        with pytest.raises(UploadOver):
            uploads.publish(name)
        assert uploads.discard(name) is not None
    left = {p.name for p in uploads.folder.rglob("*")}
    assert left == {".uploads", "pending", "gone", "lock"}
    assert Images(uploads.overlay("scratch", Nothing())).paths == ()
    assert uploads.discard("scratch/@fields/never") is None


def test_a_name_is_taken_until_it_is_swept(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path / "u", idle_s=0.15)
    uploads.add(declared())
    for name in ("scratch/@fields/liver", "scratch/@fields/LIVER"):
        with pytest.raises(Ambiguous, match="taken"):
            uploads.add(declared(name))
    uploads.discard("scratch/@fields/liver")
    uploads.sweep()
    with pytest.raises(Ambiguous):
        uploads.add(declared())
    time.sleep(0.2)
    uploads.sweep()
    assert uploads.add(declared()).state == PENDING
    time.sleep(0.2)
    uploads.sweep()
    left = uploads.get("scratch/@fields/liver")
    assert left is not None
    assert (left.state, "no chunk came" in left.reason) == (DISCARDED, True)
    uploads.close()


def test_times_to_live(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path / "u", scratch_s=100)
    lives = {
        name: uploads.add(declared(name, ttl_s=ttl))
        for name, ttl in (
            ("scratch/@fields/a", None),
            ("scratch/@fields/b", 900),
            ("x/@fields/c", None),
            ("x/@fields/d", 9),
        )
    }
    granted = [u.expires_s - u.created_s if u.expires_s else None for u in lives.values()]
    assert granted == [pytest.approx(100), pytest.approx(100), None, pytest.approx(9)]
    soon = uploads.add(declared("x/@fields/soon", ttl_s=0.05))
    uploads.publish(soon.array_id)
    uploads = again(uploads)
    time.sleep(0.06)
    uploads.sweep()
    assert uploads.get("x/@fields/soon").reason == "its time to live is over"  # type: ignore[union-attr]
    assert not (uploads.folder / "x").exists()
    uploads.close()


def test_a_clock_that_jumps_ends_no_upload(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = uploads.add(declared("x/@fields/kept", ttl_s=900))
    for index in chunks(kept.declared):
        uploads.write(kept.array_id, index, part(kept.declared, index))
    uploads.publish(kept.array_id)
    real = time.time
    for years in (10, -10):
        monkeypatch.setattr(time, "time", lambda years=years: real() + years * 365 * 86400)
        uploads.sweep()
        assert kept.left_s is not None
        assert 0 < kept.left_s <= 900
        assert np.array_equal(read(uploads, "x", "@fields/kept"), PIXELS)


def test_another_server_goes_on_with_what_is_pending(uploads: Uploads) -> None:
    done, half = uploads.add(declared("x/@fields/done")), uploads.add(declared("x/@fields/half"))
    uploads.publish(done.array_id)
    uploads.write(half.array_id, (2, 1, 0), np.zeros((1, 18, 32), np.uint16))
    with pytest.raises(Unreadable, match="Another server"):
        Uploads(uploads.folder)
    later = again(uploads)
    found = later.get(half.array_id)
    assert found is not None
    assert (found.state, found.id, found.written, found.declared) == (PENDING, half.id, {(2, 1, 0)}, half.declared)
    assert [u.array_id for u in later.ready()] == [done.array_id]
    for index in chunks(half.declared):
        later.write(half.array_id, index, part(half.declared, index))
    later.publish(half.array_id)
    assert np.array_equal(read(later, "x", "@fields/half"), PIXELS)
    later.close()


KILLED = """
import sys, itertools, numpy as np
from pathlib import Path
from coverslip.core.ngff import Axis
from coverslip.engine.upload import Declared, Target
from coverslip.engine.uploads import Uploads
uploads = Uploads(Path(sys.argv[1]))
for number in itertools.count(int(sys.argv[2])):
    axes = (Axis("y"), Axis("x"))
    wanted = Declared.of(Target.of(f"lab/@fields/n{number}"), (64, 64), "u2", (32, 32), axes)
    upload = uploads.add(wanted)
    for index in itertools.product(range(2), range(2)):
        uploads.write(upload.array_id, index, np.full((32, 32), number + 1, "u2"))
    uploads.publish(upload.array_id)
    print(number, flush=True)
    if number % 3 == 0:
        uploads.discard(upload.array_id)
"""


def test_a_process_killed_at_any_moment(tmp_path: Path) -> None:
    """Every upload is whole or not there; what was confirmed is there."""
    confirmed, number = set[int](), 0
    for lines, wait in ((3, 0.0), (1, 0.007), (4, 0.013), (2, 0.021)):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / "u"), str(number)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        confirmed |= {int(process.stdout.readline()) for _ in range(lines)}
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        confirmed |= {int(line) for line in process.stdout.read().split()}
        process.wait()
        process.stdout.close()
        number = max(confirmed) + 3
    uploads = Uploads(tmp_path / "u")
    ready = {upload.declared.target.name: upload for upload in uploads.ready()}
    kept = {f"n{n}" for n in confirmed if n % 3}
    assert kept <= set(ready)
    assert len(kept) > 4
    for name in ready:
        found = read(uploads, "lab", f"@fields/{name}")
        assert (found == int(name[1:]) + 1).all()
        uploads.discard(f"lab/@fields/{name}")
    for upload in list(uploads._all.values()):
        uploads.discard(upload.array_id)
    assert not list((tmp_path / "u" / ".uploads" / "pending").iterdir())
    uploads.close()


@pytest.fixture
def full_soon(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as place:
        yield place


def test_a_full_disk(full_soon: Path) -> None:
    uploads = Uploads(full_soon)
    noise = RNG.integers(0, 1 << 16, (8, 300, 300), dtype=np.uint16)
    wanted = declared(shape=(8, 300, 300), chunks=(1, 300, 300))
    upload = uploads.add(wanted)

    def fill() -> None:
        for index in chunks(wanted):
            uploads.write(upload.array_id, index, part(wanted, index, noise))

    with pytest.raises(DiskFull, match="cannot be kept") as full:
        fill()
    assert str(full_soon) not in str(full.value)
    assert upload.state == PENDING
    assert len(upload.written) < 8
    with contextlib.suppress(DiskFull):
        for number in range(500):
            uploads.add(declared(f"scratch/@fields/more{number}"))
    for other in list(uploads._all.values()):
        uploads.discard(other.array_id)
    assert not list((full_soon / ".uploads" / "pending").iterdir())
    fits = uploads.add(declared("x/@fields/fits"))
    for index in chunks(fits.declared):
        uploads.write(fits.array_id, index, part(fits.declared, index))
    uploads.publish(fits.array_id)
    assert np.array_equal(read(uploads, "x", "@fields/fits"), PIXELS)
    uploads.close()


def test_publishing_discarding_and_writing_at_once(uploads: Uploads) -> None:
    """Whoever is answered was right: chunks of what became READY are in it, all others were refused."""
    for round in range(12):
        upload = uploads.add(declared(f"x/@fields/r{round}"))
        kept: list[tuple[int, ...]] = []
        begun = threading.Barrier(4)

        def send(name: str, mine: list[tuple[int, ...]], kept: list[tuple[int, ...]], begun: threading.Barrier) -> None:
            begun.wait()
            for index in mine:
                try:
                    uploads.write(name, index, part(declared(name), index))
                except UploadOver:
                    return
                kept.append(index)

        every = chunks(upload.declared)
        threads = [threading.Thread(target=send, args=(upload.array_id, every[n::3], kept, begun)) for n in range(3)]
        for thread in threads:
            thread.start()
        begun.wait()
        time.sleep(0.002 * round)
        if round % 3 == 2:
            uploads.discard(upload.array_id)
        else:
            uploads.publish(upload.array_id)
        for thread in threads:
            thread.join()
        if round % 3 == 2:
            continue
        expected = np.zeros_like(PIXELS)
        for index in kept:
            start, stop = upload.declared.bounds(index)
            at = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
            expected[at] = PIXELS[at]
        assert np.array_equal(read(uploads, "x", f"@fields/r{round}"), expected)
    assert not list((uploads.folder / ".uploads" / "pending").iterdir())
