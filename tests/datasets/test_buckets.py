from __future__ import annotations

import fsspec
import pytest

from tfmap.datasets import buckets, load, remote
from tfmap.errors import InputError


@pytest.fixture
def store(own_cache_folder):
    """fsspec's file system in memory, empty."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    return memory


@pytest.fixture
def flowers(store, glass):
    """Eight photographs in two class folders."""
    for row in range(8):
        store.pipe(f"/bucket/flowers/{'ab'[row % 2]}/{row}.jpg", glass[row].read_bytes())
    return "memory://bucket/flowers"


def names(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_folder_is_a_source(flowers):
    source = load(flowers)
    assert (source.classes, len(source)) == (("a", "b"), 8)


def test_only_what_has_changed_is_fetched_again(flowers, store, glass):
    folder = remote.fetch(flowers)
    before = {name: (folder / name).stat().st_ino for name in names(folder)}
    assert remote.fetch(flowers) == folder
    store.pipe("/bucket/flowers/a/0.jpg", glass[20].read_bytes())
    store.pipe("/bucket/flowers/c/9.jpg", glass[21].read_bytes())
    store.rm("/bucket/flowers/b", recursive=True)
    remote.fetch(flowers)
    after = {name: (folder / name).stat().st_ino for name in names(folder)}
    assert set(after) == {name for name in before if name[0] == "a"} | {"c/9.jpg"}
    assert not (folder / "b").exists()
    assert [name for name in after if after[name] != before.get(name)] == ["a/0.jpg", "c/9.jpg"]
    assert (folder / "a/0.jpg").read_bytes() == glass[20].read_bytes()


def test_what_is_harmed_here_is_fetched_again(flowers, glass):
    folder = remote.fetch(flowers)
    (folder / "a" / "0.jpg").write_bytes(b"")
    (folder / "a" / "2.jpg").unlink()
    remote.fetch(flowers)
    assert (folder / "a" / "0.jpg").read_bytes() == glass[0].read_bytes()
    assert (folder / "a" / "2.jpg").read_bytes() == glass[2].read_bytes()


def test_a_file_may_become_a_folder(store):
    store.pipe("/bucket/set/a", b"1")
    folder = remote.fetch("memory://bucket/set")
    store.rm("/bucket/set/a")
    store.pipe("/bucket/set/a/1.jpg", b"1")
    assert names(remote.fetch("memory://bucket/set")) == ["a/1.jpg"]
    store.rm("/bucket/set/a", recursive=True)
    store.pipe("/bucket/set/a", b"2")
    remote.fetch("memory://bucket/set")
    assert names(folder) == ["a"]


def test_an_archive_is_a_source(store, tmp_path, fill):
    import shutil

    folder = fill({f"{'ab'[row % 2]}/{row}.jpg": row for row in range(8)})
    data = shutil.make_archive(str(tmp_path / "x"), "zip", folder)
    store.put_file(data, "/bucket/x.zip")
    assert len(load("memory://bucket/x.zip")) == 8
    with open(data, "ab") as file:
        file.write(b"cut")
    store.put_file(data, "/bucket/x.zip")
    assert remote.fetch("memory://bucket/x.zip").read_bytes()[-3:] == b"cut"


def test_a_download_goes_on_where_it_stopped(store):
    store.pipe("/bucket/x.zip", bytes(range(200)) * 100)
    path = remote.fetch("memory://bucket/x.zip")
    half = path.read_bytes()[:9000]
    path.unlink()
    path.with_name("part").write_bytes(half.replace(b"\x07", b"\x08"))  # to be seen in the result
    assert remote.fetch("memory://bucket/x.zip").read_bytes() == half.replace(b"\x07", b"\x08") + (
        bytes(range(200)) * 100
    )[9000:]  # fmt: skip


def test_names_that_lead_outside(store):
    store.pipe("/bucket/set/a/1.jpg", b"1")
    store.store["/bucket/set/../../out.jpg"] = store.store["/bucket/set/a/1.jpg"]
    with pytest.raises(
        InputError, match=r"memory://bucket/set was not fetched: its file '../../out.jpg' leads outside"
    ):
        remote.fetch("memory://bucket/set")


def test_nothing_there(store):
    with pytest.raises(FileNotFoundError, match="memory://bucket/nothing does not exist, or is empty"):
        remote.fetch("memory://bucket/nothing")


def test_a_single_file_of_another_kind(store):
    store.pipe("/bucket/list.csv", b"path,label\n")
    with pytest.raises(InputError, match=r"memory://bucket/list.csv is a single file, expected one that ends in .zip,"):
        remote.fetch("memory://bucket/list.csv")


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_a_package_that_is_not_installed(scheme, own_cache_folder, monkeypatch):
    def missing(url):
        raise ImportError(f"Please install {scheme}fs")

    monkeypatch.setattr(buckets.fsspec.core, "url_to_fs", missing)
    with pytest.raises(
        InputError, match=rf"{scheme}:// needs a package .* \(Please install {scheme}fs\).*tfmap\[remote\]"
    ):
        remote.fetch(f"{scheme}://bucket/x")


def test_a_file_that_arrives_cut(flowers, store, monkeypatch):
    def cut(_, place, here):
        with open(here, "wb") as file:
            file.write(store.cat_file(place)[:1000])

    monkeypatch.setattr(type(store), "get_file", cut)
    with pytest.raises(InputError, match=r"bucket/flowers cannot be fetched: ./.\.jpg ended at byte 1,000 of"):
        remote.fetch(flowers)


def test_a_store_that_refuses(store, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("no credentials\nfound")

    monkeypatch.setattr(type(store), "isfile", refuse)
    with pytest.raises(InputError, match="memory://bucket/x cannot be fetched: no credentials found"):
        remote.fetch("memory://bucket/x")
