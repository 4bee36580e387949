from __future__ import annotations

import subprocess
import sys

import pytest

from tfmap.datasets import load, remote
from tfmap.errors import InputError


def test_a_file_url_is_the_folder_itself(fill):
    folder = fill({f"a b/{row}.jpg": row for row in range(2)} | {f"c/{row}.jpg": row + 2 for row in range(2)})
    assert load(f"file://{folder}").classes == ("a b", "c")
    assert remote.fetch("file:///a%20b").name == "a b"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("htp://x/y.zip", r"unknown scheme\. Known: http://, .*\. Did you mean 'http'\?"),
        ("https://x/y", r"https://x/y is a single file, expected one that ends in \.zip, .*Put the data in an archive"),
        ("https://x/y.jpg?z=a.zip", "is a single file"),
    ],
)
def test_what_cannot_be_fetched_is_told_before_anything_is_asked(url, text):
    with pytest.raises(InputError, match=text):
        remote.check(url)


@pytest.mark.parametrize(
    "url", ["https://x/y.zip?token=1", "http://x/a%20b.tar.gz", "gs://x/y", "s3://x", "https://x/y.npz"]
)
def test_what_may_be_fetched(url):
    remote.check(url)


def test_the_command_line_takes_urls(tmp_path):
    (tmp_path / "c.yaml").write_text("datasets: {source: 'ftp://host/a.zip'}\n")
    done = subprocess.run([sys.executable, "-m", "tfmap.train", "c.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "tfmap train: error: c.yaml: datasets.source: ftp://host/a.zip has an unknown scheme."
    )
