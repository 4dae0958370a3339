"""The log: what a line looks like, what is never in it, how large it gets, how it is read."""

from __future__ import annotations

import logging
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from coverslip.core.errors import CoverslipError
from coverslip.daemon import reading
from coverslip.daemon.journal import QUIETER, Journal, Lines, begin, open_log
from coverslip.daemon.launch import last_line

TOKEN = "abcdefghijklmnopqrstuvwxyz"


def line(message: str, *arguments: object, error: BaseException | None = None, token: str | None = TOKEN) -> str:
    info = (type(error), error, error.__traceback__) if error is not None else None
    record = logging.LogRecord("coverslip.server", logging.INFO, "", 0, message, arguments, info)
    return Lines(token).format(record)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "logs" / "server.log", take_over=False)
    made.setFormatter(Lines(TOKEN))
    yield made
    made.close()


def write(journal: Journal, text: str, level: int = logging.INFO) -> None:
    journal.handle(logging.LogRecord("coverslip.server", level, "", 0, text, None, None))


def test_a_line_has_a_time_a_level_a_logger_and_a_message() -> None:
    assert reading.RECORD.match(line("Serving %d sources", 3))
    assert line("Serving %d sources", 3).endswith("Z INFO coverslip.server Serving 3 sources")


@pytest.mark.parametrize(
    "text",
    [f"GET /?a=1&token={TOKEN}", f"Authorization: Bearer {TOKEN}", f"{TOKEN} was given", f"/#token={TOKEN}&x=1"],
)
def test_a_token_is_never_in_a_line(text: str) -> None:
    assert TOKEN not in line(text)
    assert TOKEN not in line("%s", text)


@pytest.mark.parametrize("text", ["GET /?token=another-one", "Bearer another-one", "x&token=another-one&y"])
def test_nor_one_that_was_guessed(text: str) -> None:
    assert "another-one" not in line(text, token=None)


def test_what_a_client_sent_starts_no_line_and_moves_no_cursor() -> None:
    forged = line("GET /%s", "x\n2026-01-01T00:00:00.000Z ERROR coverslip.server forged\r\x1b[2J\x85")
    first, *rest = forged.split("\n")
    assert first.endswith("GET /x")
    assert rest == ["  2026-01-01T00:00:00.000Z ERROR coverslip.server forged\\x0d\\x1b[2J\\x85"]


def test_a_traceback_is_indented_and_names_no_folder_of_libraries() -> None:
    file = "/".join(["", "home", "u", ".venv/lib/python3.11/site-packages/lib/part.py"])
    try:
        compile("(", file, "exec")
    except SyntaxError as error:
        told = line("unforeseen", error=error)
    lines = told.split("\n")
    assert all(text.startswith("  ") for text in lines[1:])
    assert 'File "lib/part.py"' in told
    assert "/home/u" not in told


def test_the_log_is_its_owners_and_is_rotated(journal: Journal) -> None:
    file = Path(journal.baseFilename)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    journal.maxBytes = 2000
    for i in range(300):
        write(journal, f"line {i}")
    names = sorted(path.name for path in file.parent.iterdir())
    assert names == ["server.log", *(f"server.log.{n}" for n in range(1, 6))]
    assert all(path.stat().st_size <= 2000 for path in file.parent.iterdir())
    assert "line 299" in file.read_text()
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in file.parent.iterdir())


def test_what_others_write_to_it_is_bounded_too(journal: Journal) -> None:
    file = Path(journal.baseFilename)
    journal.maxBytes = 2000
    with open_log(file) as library:  # as a library in C does to standard error
        library.write("x" * 5000)
    journal.check()
    assert file.read_text() == ""
    assert Path(f"{file}.1").stat().st_size == 5000


def test_a_log_that_was_removed_begins_anew(journal: Journal) -> None:
    write(journal, "one")
    Path(journal.baseFilename).unlink()
    journal.check()
    write(journal, "two")
    assert last_line(Path(journal.baseFilename)).endswith("two")


def test_a_full_disk_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    full = Journal(Path("/dev/full"), take_over=False)
    full.setFormatter(Lines(None))
    for i in range(50):
        write(full, f"line {i} {'x' * 1000}")
    full.check()
    full.close()
    assert capsys.readouterr().err == ""


def test_a_log_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(CoverslipError, match="Cannot write"):
        open_log(tmp_path / "logs" / "server.log")


def test_the_last_lines_come_from_older_files_too(journal: Journal) -> None:
    file = Path(journal.baseFilename)
    journal.maxBytes = 2000
    for i in range(100):
        write(journal, f"line {i}", logging.WARNING if i % 10 == 0 else logging.INFO)
    assert [text.split()[-1] for text in reading.last(file, 60, None)] == [str(i) for i in range(40, 100)]
    assert [text.split()[-1] for text in reading.last(file, 4, "WARNING")] == ["60", "70", "80", "90"]
    assert reading.last(file, 0, None) == []
    assert reading.last(file.with_name("none.log"), 5, None) == []


def test_further_lines_go_with_their_record(tmp_path: Path) -> None:
    file = tmp_path / "server.log"
    file.write_text(
        "--- Started at 2026-11-21T00:00:00Z ---\n"
        "2026-11-21T00:00:00.000Z ERROR coverslip.server failed\n  Traceback\n  Boom\n"
        "2026-11-21T00:00:01.000Z INFO coverslip.server fine\n  more\n"
        "--- Started at 2026-11-21T00:00:02Z ---\n"
    )
    assert reading.last(file, 99, "ERROR") == [
        "2026-11-21T00:00:00.000Z ERROR coverslip.server failed", "  Traceback", "  Boom"
    ]  # fmt: skip
    assert len(reading.last(file, 99, "INFO")) == 7
    assert last_line(file) == "--- Started at 2026-11-21T00:00:02Z ---"
    assert last_line(tmp_path / "none") == ""


def test_lines_are_followed_through_rotation(journal: Journal) -> None:
    file = Path(journal.baseFilename)
    journal.maxBytes = 8000  # between two looks it is rotated once at most
    write(journal, "before")
    seen: list[str] = []
    begin = reading.size(file)  # here, not in the thread: it may start after the first line

    def follow() -> None:
        coming = reading.coming(file, "INFO", begin)
        for text in coming:
            seen.append(text.split()[-1])
            if text.endswith("end"):
                coming.close()
                return

    reader = threading.Thread(target=follow)
    reader.start()
    for i in range(200):
        write(journal, f"debug {i}", logging.DEBUG)
        write(journal, f"line {i}")
        threading.Event().wait(0.01)
    write(journal, "the end")
    reader.join(20)
    assert not reader.is_alive()
    assert seen == [*map(str, range(200)), "end"]
    assert Path(f"{file}.2").exists(), "it was rotated more than once"


def test_lines_are_followed_though_several_files_were_begun_between_two_looks(journal: Journal) -> None:
    file = Path(journal.baseFilename)
    write(journal, "before")
    coming = reading.coming(file, None, reading.size(file))
    write(journal, "line 0")
    seen = [next(coming).split()[-1]]
    journal.maxBytes = 500
    for i in range(1, 30):
        write(journal, f"line {i}")
    assert Path(f"{file}.3").exists()
    seen += [next(coming).split()[-1] for _ in range(1, 30)]
    coming.close()
    assert seen == [*map(str, range(30))]


def test_a_follower_survives_that_older_files_are_gone(journal: Journal) -> None:
    file = Path(journal.baseFilename)
    write(journal, "line 0")
    coming = reading.coming(file, None, 0)
    assert next(coming).endswith("line 0")
    journal.maxBytes = 500
    for i in range(1, 200):  # many times more than what is kept
        write(journal, f"line {i}")
    got = [int(next(coming).split()[-1])]
    while got[-1] != 199:
        got.append(int(next(coming).split()[-1]))
    coming.close()
    assert got == sorted(set(got)), "nothing twice, nothing out of order"
    assert got[-40:] == [*range(160, 200)], "all that was kept"


def test_news_of_libraries_are_left_out(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    monkeypatch.setattr(root, "level", root.level)
    begin(journal, "INFO", None)
    try:
        for name in ("watchfiles.main", "botocore", "coverslip.server"):
            logging.getLogger(name).info("news of %s", name)
            logging.getLogger(name).warning("warning of %s", name)
    finally:
        for name in QUIETER:
            logging.getLogger(name).setLevel(logging.NOTSET)
    text = Path(journal.baseFilename).read_text()
    assert text.count("warning of") == 3
    assert [line.split()[-1] for line in text.splitlines() if "news of" in line] == ["coverslip.server"]
