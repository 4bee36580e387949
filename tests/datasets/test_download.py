from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfmap.datasets import download, load
from tfmap.errors import InputError

SERVER = Path(__file__).with_name("faulty_server.py")


class Server:
    """A process that serves a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._log, self._seen = folder, folder / "log", 0
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen([sys.executable, str(SERVER), str(folder)], stdout=log)
        while not self._lines():
            assert self._process.poll() is None
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{self._lines()[0]}"

    def _lines(self) -> list[str]:
        text = self._log.read_text()
        return text.splitlines() if text.endswith("\n") else []

    def asked(self) -> list[str]:
        """What was asked of it since the last call."""
        lines = self._lines()[1:]
        new, self._seen = lines[self._seen :], len(lines)
        return new

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "_PAUSE", 0.01)
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a.zip").write_bytes(os.urandom(100_000))
    running = Server(tmp_path / "served")
    yield running
    running.stop()


@pytest.fixture
def get(server, tmp_path):
    """Fetch a.zip as it is served in one of the ways."""
    (tmp_path / "cache").mkdir()

    def fetch(how: str, name: str = "a.zip") -> bytes:
        return download.file(download.Web(f"{server.url}/{how}/{name}"), tmp_path / "cache" / name).read_bytes()

    return fetch


@pytest.mark.parametrize("how", ["good", "plain", "anonymous", "cut", "ill"])
def test_what_arrives_is_whole(server, get, tmp_path, how):
    assert get(how) == (server.folder / "a.zip").read_bytes()
    assert sorted(os.listdir(tmp_path / "cache")) == ["a.zip", "stamp.json"]


def test_a_url_is_a_source(server, fill, own_cache_folder):
    folder = fill({f"{'ab'[row % 2]}/{row}.jpg": row for row in range(8)})
    shutil.make_archive(str(server.folder / "data"), "zip", folder)
    assert len(load(f"{server.url}/cut/data.zip")) == 8


@pytest.mark.parametrize("name", ["ä b.zip", "%C3%A4%20b.zip"])
def test_a_url_as_people_write_it(server, get, name):
    (server.folder / "ä b.zip").write_bytes(b"umlaut")
    assert get("good", name) == b"umlaut"


def test_a_cut_download_goes_on_where_it_stopped(server, get):
    get("cut")
    asked = server.asked()
    assert asked[0] == "cut a.zip all"  # for the size and the tag
    starts = [int(line.split("bytes=")[1].rstrip("-")) for line in asked[2:]]
    assert starts[0] == 33_334
    assert starts == sorted(set(starts))


def test_what_came_before_a_kill_is_not_fetched_again(server, get, tmp_path):
    with pytest.raises(InputError):
        get("stuck")
    (tmp_path / "cache" / "part").write_bytes((server.folder / "a.zip").read_bytes()[:60_000])
    server.asked()
    assert get("good") == (server.folder / "a.zip").read_bytes()
    assert server.asked() == ["good a.zip all", "good a.zip bytes=60000-"]


def test_the_same_file_is_not_fetched_twice(server, get):
    get("good")
    server.asked()
    get("good")
    assert server.asked() == ["good a.zip all"]  # of which only the head was read


def test_another_file_is_fetched_anew(server, get, tmp_path):
    get("good")
    (server.folder / "a.zip").write_bytes(b"shorter")
    (tmp_path / "cache" / "part").write_bytes(b"left from before")
    assert get("good") == b"shorter"


def test_a_server_that_never_gives_more(server, get, tmp_path):
    with pytest.raises(
        InputError, match=r"stuck/a.zip cannot be fetched: the connection ended at byte 1,000 of 100,000"
    ):
        get("stuck")
    assert not (tmp_path / "cache" / "a.zip").exists()
    assert len(server.asked()) == 1 + download._TRIES


def test_a_file_that_is_not_there(server, get):
    with pytest.raises(InputError, match=r"/good/b.zip: the server answered 404 Not Found\."):
        get("good", "b.zip")
    assert len(server.asked()) == 1


def test_a_server_that_is_down(server, get):
    with pytest.raises(InputError, match=r"cannot be fetched: the server answered 503 Service Unavailable\. 0 bytes"):
        get("down")
    assert len(server.asked()) == download._TRIES


def test_a_server_that_is_not_there(server, get):
    server.stop()
    with pytest.raises(InputError, match=r"cannot be fetched: .*refused.* 0 bytes have come and are kept; the same"):
        get("good")


def test_a_file_that_changes_meanwhile(server, get, tmp_path):
    class Changing(download.Web):
        """Changes the file after it was asked for its stamp."""

        def open(self, offset, stamp):
            if stamp is not None:
                (server.folder / "a.zip").write_bytes(os.urandom(100_000))
            return super().open(offset, stamp)

    with pytest.raises(InputError, match="changed while it was being fetched. Run the same command again."):
        download.file(Changing(f"{server.url}/good/a.zip"), tmp_path / "cache" / "a.zip")
    assert get("good") == (server.folder / "a.zip").read_bytes()
