"""The configuration file: what it may say, and how it is told what it may not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from coverslip.app import catalog_of
from coverslip.cli.serve import serve
from coverslip.config import ELSEWHERE, TABLES, Config, load
from coverslip.core.errors import BadRequest, CoverslipError, NotFound, Unreadable
from coverslip.domains.images import Images
from coverslip.engine.keys import Keys
from coverslip.settings import Settings, with_config

ROOT = Path(__file__).parents[1]

FULL = """
[server]
host = "127.0.0.2"
port = 9000
allow_hosts = ["lab.example.org"]
read_threads = 2
rescan_interval = 5
full_rescan_interval = 60

[cache]
max_bytes = 1048576
file_max_total_gb = 0.5
persist = false

[metadata_db]
max_query_results = 50
query_timeout_ms = 2500
max_memory_mb = 100

[credentials]
default_profile = "lab"
[[credentials.profiles]]
name = "lab"
storage_type = "s3"
key = "k"
secret = "s"

[[sources]]
path = "data/a.tif"
name = "Liver"
dim_labels = ["z", "c", "y", "x"]
pixel_size = { x = 0.65, y = 0.65, z = 2, unit = "um" }
channel_names = ["DAPI", "GFP"]
channel_colors = ["#0000ff", "00FF00"]

[[sources]]
url = "/data/all"
alias = "everything"
hidden = ["*_draft.tif"]
monitor = false

[[sources]]
url = "s3://bucket/x.zarr"
credentials_profile = "lab"

[[sources]]
path = "old"
hidden = true
"""

BIOPB = """
[server]
host = "0.0.0.0"
port = 8815
log_level = "INFO"
log_scope_to_biopb = true
monitor_mode = "off"
rescan_interval = 30
full_rescan_interval = 3600
stability_window = 30
stable_rescans_required = 0
probe_open_files = true
aggressive_dir_pruning = false
claim_generic_images = false
writable = false
write_dir = "/x"
watcher_type = "inotify"
poll_interval = 3
[cache]
backend = "file"
max_entries = 1024
max_bytes = 536870912
file_cache_dir = "/tmp/x"
file_max_segment_mb = 64
file_max_total_gb = 4
[pyramid]
reduction_method = "area"
threshold = 4096
downscale_factor = 4
pixel_budget_cubic_root = 512
[precache]
enabled = true
idle_debounce_seconds = 2
backlog_enabled = true
backlog_high_water = 0.8
backlog_idle_recheck_seconds = 5
[metadata_db]
enabled = true
max_query_results = 100000
max_list_flights_results = 100000
query_timeout_ms = 30000
[[sources]]
url = "/data"
type = "ome-zarr"
dim_labels = ["y", "x"]
dataset = "a/b"
monitor = true
cloud = false
alias = "d"
source_id = "x"
"""


def read(folder: Path, text: str, name: str = "coverslip.toml") -> Config:
    file = folder / name
    file.write_text(text)
    return load(file)


def test_a_full_file_says_all_this(tmp_path: Path) -> None:
    config = read(tmp_path, FULL)
    settings = with_config(Settings(), config)
    assert (settings.cache_bytes, settings.disk_bytes, settings.read_threads) == (1 << 20, 1 << 29, 2)
    catalog = settings.catalog
    assert (catalog.persist, catalog.rescan_s, catalog.full_rescan_s) == (False, 5, 60)
    assert (catalog.query_rows, catalog.query_s, catalog.query_mib) == (50, 2.5, 100)
    liver, everything, remote = config.offered
    assert liver.path == str(tmp_path / "data" / "a.tif"), "relative to the file"
    override = liver.override
    assert override.dim_labels == ("z", "c", "y", "x")
    assert override.pixel_size == {"x": 0.65, "y": 0.65, "z": 2}
    assert (override.unit, override.channel_colors) == ("micrometer", ("0000FF", "00FF00"))
    assert (everything.path, everything.alias, everything.hidden) == ("/data/all", "everything", ("*_draft.tif",))
    assert everything.monitor is False
    assert (remote.remote, remote.address, remote.credentials_profile) == (True, "s3://bucket/x.zarr", "lab")
    assert len(config.sources) == 4
    assert config.credentials.profiles[0].secret == "s"
    assert config.notes == ()


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert with_config(Settings(), read(tmp_path, "")) == Settings(config_file=tmp_path / "coverslip.toml")


def test_files_of_biopb_load_with_a_note_for_each_key_without_meaning(tmp_path: Path) -> None:
    config = read(tmp_path, BIOPB)
    assert all(re.fullmatch(r"coverslip\.toml: \S+ has no meaning here", note) for note in config.notes)
    assert config.server.log_level == "INFO"
    told = {note.split()[1] for note in config.notes}
    assert told == {
        *(f"server.{key}" for key in ELSEWHERE["server"]), *(f"cache.{key}" for key in ELSEWHERE["cache"]),
        *(f"metadata_db.{key}" for key in ELSEWHERE["metadata_db"]), "[pyramid]", "[precache]", "sources[0].cloud",
        "sources[0].source_id",
    }  # fmt: skip
    assert config.sources[0].monitor is False, "monitor_mode off"
    assert config.catalog.query_s == 30
    as_json = read(tmp_path, '{"server": {"port": 8815}, "sources": [{"url": "/data"}]}', "biopb.json")
    assert as_json.server.port == 8815


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[server]\nhots = "x"', r"coverslip\.toml: unknown key server\.hots, did you mean host\?"),
        ('[severs]\nhost = "x"', r"severs, did you mean server\?"),
        ('[[sources]]\nurl = "x"\nchanel_names = ["a"]', r"sources\[0\]\.chanel_names, did you mean channel_names\?"),
        ('[[sources]]\nurl = "x"\n[[sources]]\nurl = "y"\nzzzz = 1', r"sources\[1\]\.zzzz, there is alias, "),
        ('[[sources]]\nurl = "x"\npixel_size = { x = 1, w = 2 }', r"sources\[0\]\.pixel_size\.w"),
        ("[pyramid]\ntreshold = 1", r"pyramid\.treshold, did you mean threshold\?"),
        ('[[credentials.profiles]]\nname = "a"\nsecrte = "x"', r"profiles\[0\]\.secrte, did you mean secret"),
        ('a = 1\n[server]\nhots = "x"', r"unknown key a, .*; server\.hots"),
        ('[server]\nport = "x"', r"server\.port: expected a whole number, got text"),
        ("[server]\nport = 70000", r"server\.port is 70000"),
        ("[server]\nrescan_interval = 0", r"server\.rescan_interval must be more than 0"),
        ("[server]\nrescan_interval = nan", r"server\.rescan_interval must be more than 0"),
        ('[server]\nmonitor_mode = "always"', r"server\.monitor_mode is 'always'"),
        ("server = 1", r"server: expected a table, got a whole number"),
        ("sources = 1", r"sources: expected a list"),
        ("sources = [1]", r"sources\[0\]: expected a table"),
        ('[[sources]]\nname = "x"', r"sources\[0\]\.url is missing"),
        ('[[sources]]\nurl = "x"\npath = "y"', r"sources\[0\]\.path is given twice"),
        ('[[sources]]\nurl = "x"\ndim_labels = ["x", "x"]', r"sources\[0\]\.dim_labels names an axis twice"),
        ('[[sources]]\nurl = "x"\nchannel_colors = ["red"]', r"sources\[0\]\.channel_colors: 'red' is not RRGGBB"),
        ('[[sources]]\nurl = "x"\npixel_size = { x = -1 }', r"sources\[0\]\.pixel_size\.x must be more than 0"),
        ('[[sources]]\nurl = "x"\npixel_size = { x = inf }', r"sources\[0\]\.pixel_size\.x must be more than 0"),
        ('[[sources]]\nurl = "x"\ncredentials_profile = "lap"\n[[credentials.profiles]]\nname = "lab"', "mean lab"),
        ("[server\nport = 1", r"coverslip\.toml: .*line 1"),
        ('[server]\nhost = "a"\nhost = "b"', r"coverslip\.toml: "),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_the_file_and_the_key(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(BadRequest, match=told) as raised:
        read(tmp_path, text)
    assert raised.value.name == "bad_configuration"
    assert raised.value.message.startswith("coverslip.toml: ")
    assert "\n" not in str(raised.value)


def test_tables_of_biopbs_other_programs_are_passed_over_in_its_own_file_only(tmp_path: Path) -> None:
    text = '[server]\nport = 8815\n[tensor_browser]\nserver_url = "grpc://elsewhere:8815"\n'
    config = read(tmp_path, text, "biopb.toml")
    assert config.server.port == 8815
    assert config.notes == ("biopb.toml: [tensor_browser] has no meaning here",)
    assert read(tmp_path, text).notes == (), "in ours it is the client's"
    with pytest.raises(BadRequest, match="mcp"):
        read(tmp_path, "[mcp]\nport = 1\n")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load(tmp_path / "none.toml")
    with pytest.raises(Unreadable):
        load(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadRequest):
        load(tmp_path / "bytes.toml")


def test_every_key_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    rows = page.split("\n## ")
    for table, struct in TABLES.items():
        heading = {"credentials.profiles": "[[credentials.profiles]]", "sources": "[[sources]]"}.get(
            table, f"[{table}]"
        )
        section = next((s for s in rows if heading in s.splitlines()[0]), None)
        if table == "sources.pixel_size":
            section = next(s for s in rows if "[[sources]]" in s.splitlines()[0])
        assert section is not None, heading
        for field in msgspec.structs.fields(struct):
            assert f"`{field.name}`" in section, f"{table}.{field.name}"
    for table, keys in ELSEWHERE.items():
        for key in keys:
            assert f"`{key}`" in page, f"{table}.{key}"


def test_the_example_in_the_reference_loads(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    config = read(tmp_path, example)
    assert config.sources
    assert not config.notes


# --- as the command uses it ---------------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Settings]]:
    seen: list[tuple[Any, Settings]] = []

    class Recorded:
        certificate = None
        viewer_url = "http://here/"

        def __init__(self, data: Any, settings: Settings, open_browser: bool = False) -> None:
            seen.append((data, settings))

        flight_url = None
        keys = Keys(None)

        def run(self, announce: Any, verbose: bool = False) -> None:
            announce()

        def counts(self) -> None:
            return None

    monkeypatch.setattr("coverslip.server.Server", Recorded)
    return seen


def test_flags_come_before_the_environment_before_the_file(
    tmp_path: Path, started: list[tuple[Any, Settings]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.toml").write_text(
        '[server]\nport = 9001\nhost = "127.0.0.2"\ntoken = "abc"\n[[sources]]\npath = "x"\n'
    )
    monkeypatch.setenv("COVERSLIP_HOST", "127.0.0.3")
    found = CliRunner().invoke(serve, ["--config", str(tmp_path / "c.toml"), "more.h5ad", "--token", "def"])
    assert found.exit_code == 0, found.output
    assert "serving more.h5ad, x" in found.output
    data, settings = started[0]
    assert (settings.port, settings.host, settings.token) == (9001, "127.0.0.3", "def")
    assert data[0] == Path("more.h5ad")
    assert data[1].path == str(tmp_path / "x")


def test_something_must_be_served(tmp_path: Path, started: list[tuple[Any, Settings]]) -> None:
    (tmp_path / "c.toml").write_text("")
    for arguments in ([], ["--config", str(tmp_path / "c.toml")]):
        found = CliRunner().invoke(serve, arguments)
        assert found.exit_code == 2
        assert "Missing argument" in found.output
    assert not started


def test_configured_sources_are_served_as_configured(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["deep/stack"] = np.zeros((3, 4, 5), np.uint16)
        file["other"] = np.zeros((4, 4), np.uint8)
    (tmp_path / "b.h5").write_bytes((tmp_path / "a.h5").read_bytes())
    config = read(
        tmp_path,
        '[cache]\npersist = false\n[[sources]]\npath = "a.h5"\nname = "Mine"\ntype = "HDF5"\ndataset = "deep/stack"\n'
        'dim_labels = ["t", "y", "x"]\npixel_size = { x = 0.5, y = 0.25, unit = "um" }\n'
        '[[sources]]\npath = "."\nalias = "lab"\nhidden = ["b*"]\n',
    )
    catalog = catalog_of(list(config.offered), catalog=config.catalog)
    try:
        catalog.start()
        assert catalog.wait_idle(60)
        (row,) = catalog.entries()[0]
        assert (row.id, row.name, row.format, row.status) == ("Mine", "Mine", "hdf5", "ready")
        assert row.tensors is not None
        (tensor,) = row.tensors
        assert (tensor["dim_labels"], tensor["shape"]) == (["t", "y", "x"], [3, 4, 5])
        (image,) = Images(catalog.open("Mine").source())
        assert [(a.name, a.step, a.unit) for a in image.axes] == [
            ("t", 1, None), ("y", 0.25, "micrometer"), ("x", 0.5, "micrometer"),
        ]  # fmt: skip
    finally:
        catalog.close()


def test_a_type_or_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"")
    for text, error, told in (
        ('path = "a.npy"\ntype = "npz"', BadRequest, "Did you mean npy"),
        ('path = "none.npy"', NotFound, "none.npy"),
    ):
        with pytest.raises(CoverslipError, match=told) as raised:
            catalog_of(list(read(tmp_path, f"[[sources]]\n{text}").offered))
        assert isinstance(raised.value, error)


def test_uploads_need_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"server\.writable needs server\.write_dir"):
        read(tmp_path, "[server]\nwritable = true")
    with pytest.raises(BadRequest, match=r"server\.upload_ttl must be more than 0"):
        read(tmp_path, "[server]\nupload_ttl = 0")
    given = 'write_dir = "up"\nupload_ttl = 60\nadd_source = true'
    settings = with_config(Settings(), read(tmp_path, f"[server]\nwritable = true\n{given}"))
    assert (settings.write_dir, settings.writable) == (tmp_path / "up", True)
    assert (settings.upload_ttl_s, settings.add_source) == (60, True)
    assert not with_config(Settings(), read(tmp_path, f"[server]\n{given}")).writable
