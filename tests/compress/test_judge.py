import numpy as np
import pytest

from tfmap import tasks
from tfmap.compress.judge import scores
from tfmap.source import Source
from tfmap.train.feed import Feed

TASK = tasks.get("classification")


def test_rows_that_only_fill_the_last_batch_do_not_count(classifier, source, photos, accuracy):
    few = Source("few", source.classes, {name: split.take(np.arange(42)) for name, split in source.splits.items()})
    feed = Feed(classifier, few, TASK, options={"batch_size": 16}, seed=0)
    expected = np.mean(classifier.predict(photos[0][:42].astype("float32"), verbose=0).argmax(1) == photos[1][:42])
    assert scores(classifier, feed, TASK, source.classes) == pytest.approx({"accuracy": expected})


def test_nothing_without_validation(classifier, source):
    alone = Source("alone", source.classes, {"train": source.split("train")})
    feed = Feed(classifier, alone, TASK, options={"batch_size": 16}, seed=0)
    assert scores(classifier, feed, TASK, source.classes) == {}
