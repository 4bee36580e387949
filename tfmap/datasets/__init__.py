"""A name or a path -> Source.

    sample:trash        the pictures that come with tfmap
    pictures/           class folders, with or without train, val and test; or MNIST-style idx files
    pictures.csv        a table of paths and labels
    arrays.npz          x_train, y_train, x_test, y_test
    VOCdevkit/VOC2007   boxes or masks of Pascal VOC
    coco/               boxes or masks of COCO; its .json file itself too
    yolo/               boxes or masks of YOLO; its data.yaml itself too
    images/ and masks/  pictures and masks side by side, in one folder
    prepared/           what python -m tfmap.prepare made: TFRecord shards with an index
    pictures.zip        any of these in an archive: .zip, .tar, .tar.gz, .tgz
    gs://bucket/name    any of these on http(s)://, gs:// or s3://, fetched into the user's cache
    tfds:name/config    labels, boxes or masks of TensorFlow Datasets

Readers (one file per format) name the pictures; `scan` opens each once; `settle` fits boxes and masks to their
pictures; `clean` leaves out what would spoil training; `splits` cuts the rest in train and val.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tfmap.checked import checked
from tfmap.errors import InputError

if TYPE_CHECKING:
    from tfmap.source import Source


@checked("datasets")
def load(
    source: str,
    *,
    format: Literal["folder", "csv", "tfds", "idx", "npz", "voc", "coco", "yolo", "masks", "records"] | None = None,
    target: Literal["label", "boxes", "mask", "instances"] | None = None,
    val_fraction: float = 0.2,
    test_fraction: float = 0.0,
    seed: int = 0,
    multi_label: bool | None = None,
    path_column: str = "path",
    label_column: str = "label",
    split_column: str = "split",
    label_separator: str = "|",
    void: int = 255,
    exclude: str | None = None,
    data_dir: str | None = None,
    download: bool = False,
    workers: int | None = None,
) -> Source:
    """Load a data set, look at every picture once, and cut it in train, val and test.

    Pictures that cannot be read are left out and listed in `skipped`, and so are copies (the first is kept), every copy
    of a picture that stands under two labels, and train pictures that are also in a given val or test part. A given val
    or test part is otherwise left as it is.

    So are pictures whose annotation file or mask cannot be read. A single bad box or outline is left out and listed in
    `findings`; pictures without any object stay.

    Without given parts, a picture's part follows from the hash of its content and `seed`: it never changes side when
    pictures come or go. Each class with two or more distinct pictures keeps at least one in train and one in val.

    Args:
        source: a folder, a .csv or .npz file, an archive or a URL of such, "sample:<name>", "tfds:<name>[/<config>]".
        format: how to read it; by default what is there decides.
        target: what to read about a picture; by default what the format is for. With label, boxes become the classes
            that occur in a picture; instances are boxes, each with the pixels of its object.
        val_fraction: share of the pictures for val, in [0, 1); not used where the data has a val part.
        test_fraction: share of the pictures for test, in [0, 1); must be 0 where the data has a test part.
        seed: another seed cuts other parts.
        multi_label: whether a picture may have several labels; by default the data decides.
        path_column: CSV column of the picture's path, relative to the CSV file.
        label_column: CSV column of the label.
        split_column: CSV column of the part (train, val or test); may be missing or empty.
        label_separator: what stands between several labels in one CSV cell; "" if labels are never split.
        void: value of a mask that stands for no class.
        exclude: text file of pictures to leave out, one path a line, relative to the source; # starts a comment.
        data_dir: folder of TensorFlow Datasets; by default its own.
        download: whether TensorFlow Datasets may fetch what is not on this machine.
        workers: threads that open pictures; by default one per CPU core.

    Returns:
        Source: with a train split, val unless `val_fraction` is 0, and test where given or asked for.

    Raises:
        InputError: the data or a setting is wrong.
        FileNotFoundError: the source is not there.
    """
    from tfmap.datasets import assemble, detect, quarantine, splits

    splits.check_fractions(val_fraction, test_fraction)
    if not 0 <= void <= 255:
        raise InputError(f"datasets.void must be from 0 to 255, received {void}.")
    columns = (path_column, label_column, split_column, label_separator)
    listing = detect.read(source, format, target=target, columns=columns, data_dir=data_dir, download=download)
    if listing.faults:
        raise InputError(listing.faults[0])
    if exclude is not None:
        listing = quarantine.apply(listing, detect.root(source), exclude)
    return assemble.assemble(
        source,
        listing,
        target=target,
        multi_label=multi_label,
        void=void,
        val_fraction=val_fraction,
        test_fraction=test_fraction,
        seed=seed,
        workers=workers,
    )
