from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile

import hypothesis
import hypothesis.strategies as st
import pytest

from tfmap.datasets import archives, load
from tfmap.errors import InputError

PLAIN = {"data/a/1.jpg": b"1", "data/b/2.jpg": b"22"}
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")


@pytest.fixture(autouse=True)
def own(own_cache_folder):
    """Each test has its own cache."""


def make_zip(path, members) -> None:
    """Members: (name or ZipInfo, content)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)


def make_tar(path, members) -> None:
    """Members: (name or TarInfo, content)."""
    mode = "w" if path.name.endswith(".tar") else "w:gz"
    with tarfile.open(path, mode, encoding="utf-8", errors="surrogateescape") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def make(path, members):
    (make_zip if path.name.endswith(".zip") else make_tar)(path, members)
    return path


def refused(path) -> str:
    """The text of the refusal, when nothing was left behind."""
    with pytest.raises(InputError) as error:
        archives.unpack(path)
    folder = archives.caches.folder("archives")
    assert not folder.exists() or not list(folder.iterdir())
    return str(error.value).removeprefix(f"datasets: {path} ")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_is_a_source(tmp_path, glass, suffix):
    members = [(f"data/{'ab'[row % 2]}/{row}.jpg", glass[row].read_bytes()) for row in range(8)]
    source = load(str(make(tmp_path / f"data{suffix}", members)))
    assert (source.classes, len(source)) == (("a", "b"), 8)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_it_is_unpacked_once_and_again_when_it_changes(tmp_path, suffix):
    path = make(tmp_path / f"data{suffix}", PLAIN.items())
    folder = archives.unpack(path)
    assert {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.jpg")} == {
        name.removeprefix("data/"): data for name, data in PLAIN.items()
    }
    (folder / "a" / "1.jpg").write_bytes(b"mine")
    assert (archives.unpack(path) / "a" / "1.jpg").read_bytes() == b"mine"
    make(path, [("data/a/1.jpg", b"new one")])
    assert (archives.unpack(path) / "a" / "1.jpg").read_bytes() == b"new one"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_folders_side_by_side_are_the_source(tmp_path, suffix):
    folder = archives.unpack(make(tmp_path / f"data{suffix}", [("a/1.jpg", b"1"), ("b/1.jpg", b"2"), (".x", b"")]))
    assert sorted(path.name for path in folder.iterdir()) == [".x", "a", "b"]


BAD_NAMES = {
    "../out.jpg": "'../out.jpg' leads outside.",
    "a/../../out.jpg": "'a/../../out.jpg' leads outside.",
    "/etc/passwd": "'/etc/passwd' has an absolute path.",
    "C:/x.jpg": "'C:/x.jpg' has an absolute path.",
    "c:x.jpg": "'c:x.jpg' has an absolute path.",
    "a\\..\\x.jpg": "has a backslash in its name",
    "a/b\nc.jpg": "has a control character in its name",
    f"a/{'x' * 256}": "has a name longer than 255 bytes",
    "a/" * 1500 + "x": "lies more than 100 folders deep",
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name(tmp_path, suffix, name):
    text = refused(make(tmp_path / f"data{suffix}", [*PLAIN.items(), (name, b"x")]))
    assert text.startswith("was not unpacked: its member ")
    assert BAD_NAMES[name] in text
    assert {path.name for path in tmp_path.iterdir()} == {f"data{suffix}", "cache"}


def test_a_name_that_is_no_utf8(tmp_path):
    path = make(tmp_path / "a.zip", [("a/XX.jpg", b"x")])
    # as an old program on Windows writes it: letters of a code page, and no word about UTF-8
    path.write_bytes(path.read_bytes().replace(b"XX", b"\x82\x82"))
    assert "has a name that is not UTF-8" in refused(path)
    for suffix in (".tar", ".tar.gz"):
        assert "'a/\\\\udcff.jpg' has a name that is not UTF-8" in refused(
            make(tmp_path / f"a{suffix}", [("a/\udcff.jpg", b"x")])
        )


def test_a_name_that_claims_to_be_utf8(tmp_path):
    path = make(tmp_path / "a.zip", [("a/\xe9.jpg", b"x")])
    path.write_bytes(path.read_bytes().replace("\xe9".encode(), b"\xff\xff"))
    assert refused(path) == "was not unpacked: the name of a member is not UTF-8."


@pytest.mark.parametrize("name", ["ä/ö.jpg", "日本/1.jpg"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_in_utf8_are_kept(tmp_path, suffix, name):
    folder = archives.unpack(make(tmp_path / f"a{suffix}", [(name, b"x"), ("b/2", b"y")]))
    assert (folder / name).read_bytes() == b"x"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (tarfile.SYMTYPE, "is a link"),
        (tarfile.LNKTYPE, "is a link"),
        (tarfile.CHRTYPE, "is a device, a pipe or the like"),
        (tarfile.FIFOTYPE, "is a device, a pipe or the like"),
    ],
)
def test_links_and_devices_in_a_tar(tmp_path, kind, text):
    info = tarfile.TarInfo("a/x")
    info.type, info.linkname = kind, "/etc/passwd" if text == "is a link" else ""
    assert f"its member 'a/x' {text}." in refused(make(tmp_path / "a.tar", [*PLAIN.items(), (info, b"")]))


def test_links_in_a_zip(tmp_path):
    info = zipfile.ZipInfo("a/x")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "its member 'a/x' is a link." in refused(make(tmp_path / "a.zip", [(info, b"/etc/passwd")]))


def test_an_encrypted_zip(tmp_path):
    path = make(tmp_path / "a.zip", PLAIN.items())
    data = bytearray(path.read_bytes())
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(magic)
        data[at + place] |= 1
    path.write_bytes(data)
    assert "its member 'data/a/1.jpg' is encrypted." in refused(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("names", [("a/x", "a/x"), ("a/x", "a/./x"), ("a", "a/x"), ("a/x", "a")])
def test_members_in_the_way_of_each_other(tmp_path, suffix, names):
    text = refused(make(tmp_path / f"a{suffix}", [(name, b"x") for name in names]))
    assert "comes twice, or as a file and as a folder." in text


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tgz"])
def test_a_bomb(tmp_path, suffix):
    path = make(tmp_path / f"a{suffix}", [(f"a/{number}.jpg", bytes(16 << 20)) for number in range(8)])
    assert path.stat().st_size < 1 << 20
    assert refused(path).startswith(f"looks like a bomb: its {path.stat().st_size:,} bytes unpack to more than 6")


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz"])
def test_a_bomb_where_nothing_is_written(tmp_path, suffix):
    path = make(tmp_path / f"a{suffix}", [(f"__MACOSX/{number}.jpg", bytes(16 << 20)) for number in range(8)])
    assert refused(path).startswith("looks like a bomb: ")
    with gzip.open(make(tmp_path / f"b{suffix}", PLAIN.items()), "ab") as file:
        for _ in range(5):
            file.write(bytes(16 << 20))
    assert refused(tmp_path / f"b{suffix}") == "was not unpacked: it goes on long after its end."


def test_a_checksum_that_does_not_fit(tmp_path):
    path = make(tmp_path / "a.tar.gz", PLAIN.items())
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)
    assert refused(path).startswith("cannot be unpacked: CRC check failed")


def test_a_zip_that_lies_about_its_sizes(tmp_path):
    """A header that says 1 byte gives 1 byte, and then the checksum does not fit."""
    path = make(tmp_path / "a.zip", [("a/x", bytes(100_000))])
    path.write_bytes(path.read_bytes().replace((100_000).to_bytes(4, "little"), (1).to_bytes(4, "little")))
    assert "cannot be unpacked: Bad CRC-32 for file 'a/x'" in refused(path)


def test_a_header_of_gigabytes(tmp_path):
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 3 << 30
    (tmp_path / "a.tar").write_bytes(info.tobuf() + bytes(4096))
    assert refused(tmp_path / "a.tar") == "was not unpacked: it has a header of 3,221,225,472 bytes."


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_too_many_members_and_too_many_bytes(tmp_path, suffix, monkeypatch):
    path = make(tmp_path / f"a{suffix}", [(f"a/{number}", b"xyz") for number in range(5)])
    monkeypatch.setattr(archives, "MOST_MEMBERS", 4)
    assert refused(path) == "holds more than 4 members; it was not unpacked."
    monkeypatch.undo()
    monkeypatch.setattr(archives, "MOST_BYTES", 14)
    monkeypatch.setenv("TFMAP_CACHE", str(tmp_path / "other"))
    assert refused(path) == "holds more than 14 bytes; it was not unpacked."


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_that_is_cut(tmp_path, suffix):
    members = [(f"a/{number}.jpg", os.urandom(3000)) for number in range(5)]
    data = make(tmp_path / f"whole{suffix}", members).read_bytes()
    path = tmp_path / f"a{suffix}"
    for share in (0.0, 0.1, 0.5, 0.85):
        path.write_bytes(data[: int(len(data) * share)])
        assert refused(path).startswith("cannot be unpacked: ")


def test_a_tar_that_is_cut_between_two_members(tmp_path):
    """Python's tarfile takes that for its end."""
    path = make(tmp_path / "a.tar", [(f"a/{number}", b"x" * 512) for number in range(3)])
    path.write_bytes(path.read_bytes()[: 2 * 1024])
    assert refused(path) == "cannot be unpacked: it ends before its end. Fetch it again, or make it anew."


def test_a_zip_whose_table_points_before_its_beginning(tmp_path):
    """Where its first member begins, as the table at the end of a zip has it: so far back that seeking is an error."""
    path = make(tmp_path / "a.zip", [("a/0", b"some text")])
    content = bytearray(path.read_bytes())
    table = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    content[end + 16 : end + 20] = (table + 50).to_bytes(4, "little")  # a table that seems to lie further back
    path.write_bytes(content)
    assert refused(path).startswith("cannot be unpacked: ")


@hypothesis.settings(max_examples=60, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(suffix=st.sampled_from(SUFFIXES), data=st.data())
def test_a_harmed_archive_is_refused_or_read_but_never_a_crash(tmp_path, suffix, data):
    path = make(tmp_path / f"harmed{suffix}", [(f"a/{number}", b"some text " * 9) for number in range(3)])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        folder = archives.unpack(path)
    except InputError:
        return
    assert all(file.resolve().is_relative_to(archives.caches.folder("archives")) for file in folder.rglob("*"))


@hypothesis.given(st.text(max_size=40))
def test_a_name_without_fault_stays_below_the_folder(name):
    if archives.name_fault(name) == "":
        assert os.path.normpath(os.path.join("/top/folder", name)).startswith("/top/folder")


def test_shadows_of_macos_are_left_out(tmp_path):
    members = [*PLAIN.items(), ("__MACOSX/data/a/._1.jpg", b"x"), ("__MACOSX/._data", b"x")]
    assert archives.unpack(make(tmp_path / "a.zip", members)).name == "data"


def test_a_folder_named_like_an_archive_is_a_folder(tmp_path):
    (tmp_path / "a.zip").mkdir()
    assert not archives.matches(tmp_path / "a.zip")
    assert archives.matches(make(tmp_path / "b.TAR.GZ", []))
