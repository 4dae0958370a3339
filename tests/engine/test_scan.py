"""What a scan finds below a root, and what it leaves out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from catalog_files import asked, recognise, toy
from coverslip.core import mounts as core_mounts
from coverslip.core.errors import NotFound
from coverslip.core.mounts import is_remote
from coverslip.engine.found import Found, Seen
from coverslip.engine.places import Root, distinct, file_system, inside
from coverslip.engine.scan import Tree


def scan(*roots: Root, known: list[Tree] | None = None) -> list[Tree]:
    seen = Seen()
    trees = [Tree(r, roots, recognise, seen, known[i] if known else None) for i, r in enumerate(roots)]
    for tree in trees:
        for _ in tree.walk():
            pass
    return trees


def found(folder: Path, **options: object) -> dict[str, Found]:
    return scan(Root.at(folder, **options))[0].items


def test_files_and_folders_that_a_format_claims_are_found_at_any_depth(tmp_path: Path) -> None:
    toy(tmp_path / "b.toy")
    toy(tmp_path / "deep" / "er" / "a.toy")
    toy(tmp_path / "store" / "toy.txt")
    toy(tmp_path / "store" / "inner.toy")
    (tmp_path / "notes.txt").write_text("no data")
    items = found(tmp_path)
    assert sorted(items) == ["b.toy", "deep/er/a.toy", "store"], "a claimed folder hides what is in it"
    assert items["store"].folder
    assert items["b.toy"].size == (tmp_path / "b.toy").stat().st_size
    assert (items["b.toy"].format, items["b.toy"].kind) == ("toy", "images")


def test_a_root_may_be_a_file_or_a_claimed_folder(tmp_path: Path) -> None:
    assert list(found(toy(tmp_path / "one.toy"))) == [""]
    toy(tmp_path / "store" / "toy.txt")
    assert list(found(tmp_path / "store")) == [""]
    with pytest.raises(NotFound):
        Root.at(tmp_path / "nothing")


def test_hidden_things_and_folders_of_the_system_are_left_out(tmp_path: Path) -> None:
    for name in (".hidden.toy", ".git/x.toy", "node_modules/x.toy", "$RECYCLE.BIN/x.toy", "OneDrive - Lab/x.toy",
                 "System Volume Information/x.toy", "seen/x.toy"):  # fmt: skip
        toy(tmp_path / name)
    assert list(found(tmp_path)) == ["seen/x.toy"]


def test_what_is_configured_as_hidden_is_left_out(tmp_path: Path) -> None:
    for name in ("a.toy", "b_draft.toy", "old/c.toy", "old/d.toy"):
        toy(tmp_path / name)
    assert sorted(found(tmp_path, hidden=("*_draft.toy", "old/c*"))) == ["a.toy", "old/d.toy"]


def test_a_file_is_listed_once_however_many_names_it_has(tmp_path: Path) -> None:
    first = toy(tmp_path / "a.toy")
    os.link(first, tmp_path / "b.toy")
    (tmp_path / "0.toy").symlink_to(first)
    toy(tmp_path / "data" / "c.toy")
    (tmp_path / "again").symlink_to(tmp_path / "data")
    assert sorted(found(tmp_path)) == ["a.toy", "data/c.toy"], "the name that is no link is the one that is shown"


def test_links_are_followed_only_inside_of_what_is_offered(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    toy(outside / "secret.toy")
    root = tmp_path / "root"
    toy(root / ".kept" / "x.toy")
    (root / "to_file.toy").symlink_to(root / ".kept" / "x.toy")
    (root / "escape.toy").symlink_to(outside / "secret.toy")
    (root / "escape").symlink_to(outside)
    (root / "dangling.toy").symlink_to(root / "nothing.toy")
    tree = scan(Root.at(root))[0]
    assert list(tree.items) == ["to_file.toy"]
    assert tree.omitted.links_outside == 2
    both = scan(Root.at(root), Root.at(outside))
    assert [sorted(tree.items) for tree in both] == [["escape.toy", "to_file.toy"], []]
    assert not inside(root / "escape.toy", [Root.at(root)])


def test_loops_end(tmp_path: Path) -> None:
    toy(tmp_path / "a" / "x.toy")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    assert list(found(tmp_path)) == ["a/x.toy"]


def test_pipes_are_not_opened_and_odd_names_do_no_harm(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toy")
    toy(tmp_path / "line\nbreak.toy")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.toy"))).write_text("TOY x END")
    assert sorted(os.fsencode(p) for p in found(tmp_path)) == [b"line\nbreak.toy", b"\xff\xfe.toy"]


def test_a_set_of_files_is_listed_once(tmp_path: Path) -> None:
    for name in ("x_1.part", "x_2.part", "y_1.part", "x_3.part"):
        toy(tmp_path / name)
    items = found(tmp_path)
    assert sorted(items) == ["x_1.part", "y_1.part"]
    assert items["x_1.part"].members == ("x_1.part", "x_2.part", "x_3.part")
    assert items["x_1.part"].size == 3 * (tmp_path / "x_1.part").stat().st_size
    assert items["y_1.part"].members == ()


def test_a_set_that_grows_keeps_its_name(tmp_path: Path) -> None:
    toy(tmp_path / "x_2.part")
    toy(tmp_path / "x_3.part")
    tree = scan(Root.at(tmp_path))[0]
    stamp = tree.items["x_2.part"].stamp
    toy(tmp_path / "x_1.part")
    tree.look("")
    assert list(tree.items) == ["x_2.part"]
    assert tree.items["x_2.part"].members == ("x_1.part", "x_2.part", "x_3.part")
    assert tree.items["x_2.part"].stamp != stamp
    (tmp_path / "x_2.part").unlink()
    tree.look("")
    assert [item.members for item in tree.items.values()] == [("x_1.part", "x_3.part")]


def test_what_did_not_change_is_not_asked_about_again(tmp_path: Path) -> None:
    toy(tmp_path / "a.toy")
    toy(tmp_path / "x_1.part")
    toy(tmp_path / "x_2.part")
    (tmp_path / "notes.txt").write_text("no data")
    trees = scan(Root.at(tmp_path))
    asked.clear()
    again = scan(trees[0].root, known=trees)[0]
    assert asked == [tmp_path.name], "the folder itself might be claimed by now"
    assert again.items == trees[0].items
    toy(tmp_path / "a.toy", "longer")
    (tmp_path / "notes.txt").write_text("other words")
    scan(trees[0].root, known=trees)
    assert sorted(set(asked)) == sorted([tmp_path.name, "a.toy", "notes.txt"])


def test_looking_again_sees_new_changed_and_removed(tmp_path: Path) -> None:
    toy(tmp_path / "a.toy")
    toy(tmp_path / "sub" / "b.toy")
    tree = scan(Root.at(tmp_path))[0]
    stamp = tree.items["a.toy"].stamp
    toy(tmp_path / "new" / "deep" / "c.toy")
    toy(tmp_path / "a.toy", "longer")
    tree.look("")
    assert sorted(tree.items) == ["a.toy", "new/deep/c.toy", "sub/b.toy"]
    assert tree.items["a.toy"].stamp != stamp
    (tmp_path / "sub").rename(tmp_path / "other")
    tree.look("")
    assert sorted(tree.items) == ["a.toy", "new/deep/c.toy", "other/b.toy"]
    assert "sub" not in tree.folders
    (tmp_path / "a.toy").unlink()
    tree.refresh("a.toy")
    assert "a.toy" not in tree.items


def test_a_folder_may_become_a_source_and_stop_being_one(tmp_path: Path) -> None:
    toy(tmp_path / "s" / "in.toy")
    tree = scan(Root.at(tmp_path))[0]
    toy(tmp_path / "s" / "toy.txt")
    tree.look("s")
    assert list(tree.items) == ["s"]
    (tmp_path / "s" / "toy.txt").unlink()
    tree.look("s")
    assert list(tree.items) == ["s/in.toy"]


def test_a_file_that_may_not_be_read_is_found_with_the_reason(tmp_path: Path) -> None:
    toy(tmp_path / "closed.toy")
    error = found(tmp_path)["closed.toy"].error
    assert error is not None
    assert error.name == "unreadable"


def test_an_odd_format_ends_no_scan(tmp_path: Path) -> None:
    def odd(path: Path) -> object:
        if path.name == "a.toy":
            raise KeyError("a bug in a plug-in")
        return recognise(path)

    toy(tmp_path / "a.toy")
    toy(tmp_path / "b.toy")
    items = found(tmp_path, recognise=odd)
    assert sorted(items) == ["a.toy", "b.toy"]
    assert items["a.toy"].error is not None


def test_roots_have_distinct_aliases(tmp_path: Path) -> None:
    for name in ("a/data", "b/data"):
        (tmp_path / name).mkdir(parents=True)
    roots = [Root.at(tmp_path / name) for name in ("a/data", "b/data", "a/data")]
    assert [root.alias for root in distinct(roots)] == ["data", "data-2"]


def test_network_disks_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda / ext4 rw 0 0\nnas:/x /mnt/nas nfs4 rw 0 0\n//s/y /mnt/with\\040space cifs rw 0 0\n"
        "tmpfs /mnt/nas/local tmpfs rw 0 0\nme@h:/ /mnt/ssh fuse.sshfs rw 0 0\n"
    )
    monkeypatch.setattr(core_mounts, "MOUNTS", mounts)
    kinds = {p: file_system(Path(p)) for p in
             ("/data", "/mnt/nas/a/b", "/mnt/nasty", "/mnt/with space/x", "/mnt/nas/local/x", "/mnt/ssh")}  # fmt: skip
    assert list(kinds.values()) == ["ext4", "nfs4", "ext4", "cifs", "tmpfs", "fuse.sshfs"]
    assert [is_remote(kind) for kind in kinds.values()] == [False, True, False, True, False, True]
    monkeypatch.setattr(core_mounts, "MOUNTS", tmp_path / "none")
    assert file_system(Path("/data")) == ""


def test_touching_one_entry_asks_about_no_other(tmp_path: Path) -> None:
    for i in range(20):
        toy(tmp_path / f"{i}.toy")
    tree = scan(Root.at(tmp_path))[0]
    asked.clear()
    toy(tmp_path / "new.toy")
    toy(tmp_path / "sub" / "b.toy")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "link.toy").symlink_to(tmp_path / "1.toy")
    (tmp_path / "0.toy").unlink()
    for name in ("new.toy", "sub", "notes.txt", "0.toy"):
        tree.touch(name)
    assert set(asked) == {"new.toy", "sub", "b.toy", "notes.txt"}
    assert {"new.toy", "sub/b.toy"} <= set(tree.items)
    assert len(tree.items) == 21
    tree.touch("link.toy")
    assert len(tree.items) == 21
    (tmp_path / "sub").rename(tmp_path / "moved")
    tree.touch("moved")
    tree.touch("sub")
    assert "moved/b.toy" in tree.items
    assert "sub/b.toy" not in tree.items
    assert not tree.became_source("moved")
    toy(tmp_path / "moved" / "toy.txt")
    assert tree.became_source("moved")


def test_touching_hard_links_pipes_and_parts_of_sets(tmp_path: Path) -> None:
    first = toy(tmp_path / "a.toy")
    for name in ("x_1.part", "x_2.part"):
        toy(tmp_path / name)
    tree = scan(Root.at(tmp_path, hidden=("secret*",)))[0]
    os.link(first, tmp_path / "b.toy")
    os.mkfifo(tmp_path / "pipe.toy")
    toy(tmp_path / "secret.toy")
    toy(tmp_path / "node_modules" / "x.toy")
    for name in ("b.toy", "pipe.toy", "secret.toy", "node_modules", "nothing.toy"):
        tree.touch(name)
    assert sorted(tree.items) == ["a.toy", "x_1.part"]
    toy(tmp_path / "x_3.part")
    tree.touch("x_3.part")
    assert tree.items["x_1.part"].members == ("x_1.part", "x_2.part", "x_3.part")
    (tmp_path / "x_1.part").unlink()
    tree.touch("x_1.part")
    assert tree.items["x_2.part"].members == ("x_2.part", "x_3.part")
