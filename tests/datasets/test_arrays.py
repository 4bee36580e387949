from __future__ import annotations

import gzip

import numpy as np
import pytest

from tfmap.datasets import load
from tfmap.errors import InputError


@pytest.fixture
def arrays(photos):
    images, labels = photos
    return {"x_train": images[::2], "y_train": labels[::2], "x_test": images[1::2], "y_test": labels[1::2]}


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "data.npz", **arrays)
        return str(tmp_path / "data.npz")

    return write


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + b"".join(side.to_bytes(4) for side in array.shape) + array.tobytes()


@pytest.fixture
def mnist(tmp_path, photos):
    """A folder of idx files: 48 grey photographs of 48 px for train, and the same upside down for test."""
    images, labels = photos[0][..., 0], photos[1].astype(np.uint8)
    files = {"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": labels}
    files |= {"t10k-images-idx3-ubyte": images[:, ::-1], "t10k-labels-idx1-ubyte": labels}
    for name, array in files.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(np.ascontiguousarray(array))))
    return tmp_path


def test_npz_with_a_test_part(npz, arrays):
    source = load(npz(**arrays), val_fraction=0.25)
    assert source.classes == ("0", "1", "2", "3", "4", "5")
    assert len(source.split("test")) == 24
    assert len(source.split("train")) + len(source.split("val")) == 24
    split = source.split("test")
    assert split.kind == "pixels"
    np.testing.assert_array_equal(split.images, arrays["x_test"])
    np.testing.assert_array_equal(split.labels, arrays["y_test"])
    assert split.ids[3].endswith("data.npz:test[3]")
    assert not split.odd.any()


def test_npz_with_train_alone_and_class_names(npz, arrays):
    source = load(npz(x_train=arrays["x_train"][..., :1], y_train=arrays["y_train"][:, None], classes=list("uvwxyz")))
    assert source.classes == tuple("uvwxyz")
    assert set(source.splits) == {"train", "val"}
    assert source.split("train").images.shape[1:] == (48, 48, 1)


def test_npz_with_several_labels(npz, arrays):
    hot = np.eye(6)[arrays["y_train"]]
    source = load(npz(x_train=arrays["x_train"], y_train=hot))
    assert source.multi_label
    assert source.split("train").labels.dtype == np.float32


def test_declared_classes_need_no_pictures(npz, arrays):
    source = load(npz(**arrays, classes=list("abcdefg")))
    assert source.findings["class without pictures"] == ("g",)


def test_idx_folder(mnist, photos):
    source = load(str(mnist))
    assert source.classes == ("0", "1", "2", "3", "4", "5")
    test = source.split("test")
    assert test.images.shape == (48, 48, 48, 1)
    np.testing.assert_array_equal(test.images[..., 0], photos[0][:, ::-1, :, 0])
    np.testing.assert_array_equal(test.labels, photos[1])


@pytest.mark.parametrize("name", ["classes.txt", "labels.txt"])
def test_idx_class_names_from_a_file(mnist, name):
    (mnist / name).write_text("cardboard\nglass\nmetal\npaper\nplastic\ntrash\n")
    assert load(str(mnist)).classes == ("cardboard", "glass", "metal", "paper", "plastic", "trash")


def test_idx_unpacked_and_by_other_names(mnist):
    for kind in ("images-idx3", "labels-idx1"):
        packed = mnist / f"t10k-{kind}-ubyte.gz"
        (mnist / f"test-{kind.replace('-', '.')}-ubyte").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    assert len(load(str(mnist)).split("test")) == 48


def test_idx_without_labels(mnist):
    (mnist / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match=r"needs both test-images-idx3-ubyte\(.gz\) and test-labels-idx1-ubyte"):
        load(str(mnist))
    (mnist / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match=r"needs both train-images-idx3-ubyte\(.gz\) and train-labels-idx1-ubyte"):
        load(str(mnist), format="idx")


def test_idx_broken(mnist):
    file = mnist / "train-images-idx3-ubyte.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[:1000])
    with pytest.raises(InputError, match="train-images-idx3-ubyte.gz cannot be unpacked"):
        load(str(mnist))
    file.write_bytes(gzip.compress(gzip.decompress(whole)[:1000]))
    with pytest.raises(InputError, match=r"is cut short: shape \(48, 48, 48\) does not fit 1000 bytes"):
        load(str(mnist))
    file.write_bytes(gzip.compress(b"something else"))
    with pytest.raises(InputError, match="is no idx file of unsigned bytes"):
        load(str(mnist))


def test_npz_without_labels(npz, arrays):
    with pytest.raises(InputError, match=r"needs both x_test and y_test\. Its arrays: x_train, y_train, x_test"):
        load(npz(**{name: array for name, array in arrays.items() if name != "y_test"}))
    with pytest.raises(InputError, match=r"needs both x_train and y_train\. Its arrays: images"):
        load(npz(images=arrays["x_train"]))


def test_npz_of_something_else(tmp_path, npz):
    with pytest.raises(InputError, match=r"data.npz is no .npz file of plain arrays"):
        load(npz(x_train=np.array([{}], object), y_train=[1]))
    for content in (b"not a zip", b"", b"PK\x03\x04 cut"):
        (tmp_path / "data.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"data.npz is no .npz file of plain arrays"):
            load(str(tmp_path / "data.npz"))
    np.save(tmp_path / "x.npy", np.zeros(3))
    (tmp_path / "x.npy").rename(tmp_path / "data.npz")
    with pytest.raises(InputError, match=r"data.npz is no .npz file of plain arrays"):
        load(str(tmp_path / "data.npz"))


def test_wrong_pixels(npz, arrays):
    with pytest.raises(
        InputError, match=r"train pictures of .* must be uint8 \(N, H, W\), .* received float64 \(24, 48"
    ):
        load(npz(**arrays | {"x_train": arrays["x_train"] / 255}))
    with pytest.raises(InputError, match=r"received uint8 \(24, 48, 48, 2\)"):
        load(npz(**arrays | {"x_train": arrays["x_train"][..., :2]}))
    with pytest.raises(InputError, match="the parts of .* differ in the shape of their pictures or labels"):
        load(npz(**arrays | {"x_train": arrays["x_train"][:, :10]}))


def test_wrong_labels(npz, arrays):
    with pytest.raises(InputError, match="train of .* has 24 pictures, but 5 labels"):
        load(npz(**arrays | {"y_train": arrays["y_train"][:5]}))
    for wrong in (arrays["y_train"] - 1, arrays["y_train"] + 0.5, np.full((24, 3), 2)):
        with pytest.raises(InputError, match=r"train labels of .* must be integers from 0 \(N,\), or 0 and 1 \(N, K\)"):
            load(npz(**arrays | {"y_train": wrong}))
    with pytest.raises(InputError, match="has labels of 6 classes, but 2 class names"):
        load(npz(**arrays, classes=["a", "b"]))
    with pytest.raises(InputError, match="has 6 columns of labels, but 7 class names"):
        load(npz(x_train=arrays["x_train"], y_train=np.eye(6)[arrays["y_train"]], classes=list("abcdefg")))
