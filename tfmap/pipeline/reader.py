"""Rows of a split -> pictures of one size, whatever becomes of single files."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property

import tensorflow as tf

from tfmap.pipeline import annotations, decode
from tfmap.pipeline.annotations import BLANK
from tfmap.pipeline.files import Files
from tfmap.pipeline.fit import AROUND
from tfmap.source import Split

Pictures = dict[str, tf.Tensor]


class Reader:
    """Reads rows of a split.

    TensorFlow decodes the plain pictures; Pillow takes the odd ones, and those that TensorFlow fails on. What Pillow
    cannot read either is a black picture that does not count.

    Args:
        split: N pictures.
        size: (H, W) of the result.
        channels: C, 1 or 3.
        prepare: (example, size) -> example of that size, in TensorFlow; see `tfmap.pipeline.fit`.
        crop: share of the area of a random part of each picture, from and to; None for whole pictures.
        seed: of the random parts.
        max_boxes: boxes kept of a picture; None for all.
    """

    def __init__(
        self,
        split: Split,
        size: tuple[int, int],
        channels: int,
        prepare: Callable,
        crop: tuple[float, float] | None = None,
        seed: int = 0,
        max_boxes: int | None = None,
    ) -> None:
        self._split, self._size, self._channels, self._prepare = split, size, channels, prepare
        self._crop, self._seed = crop, seed
        self._boxes = None if split.boxes is None else annotations.BoxTable(split.boxes, max_boxes)
        self._files = Files(split, channels, decode.least(size) if crop is None else None)
        with tf.device("CPU:0"):
            self._odd = tf.constant(split.odd)
            if split.kind != "record":
                self._images = tf.constant(split.images if split.kind == "pixels" else split.images.tolist())

    @cached_property
    def spec(self) -> dict[str, tf.TensorSpec]:
        """Key -> TensorSpec of one picture, of the keys that `prepare` gives back; nothing is computed for it.

        image uint8 (H, W, C); boxes float32 (M, 4) and classes int32 (M,); mask or instances uint8 (H, W); whole int32
        (2,).
        """

        @tf.autograph.experimental.do_not_convert
        def one(image: tf.Tensor) -> Pictures:
            return self._fitted(tf.constant(0, tf.int64), decode.cut(image, None))

        image = tf.TensorSpec((None, None, self._channels), tf.uint8)
        made = tf.function(one).get_concrete_function(image).structured_outputs
        return {key: tf.TensorSpec(tensor.shape, tensor.dtype) for key, tensor in made.items()}

    def __call__(self, chosen: tf.data.Dataset, workers: int | None = None) -> tf.data.Dataset:
        """Read batches.

        Args:
            chosen: of (rows, epoch): int64 (B,) in [0, N), -1 for none; int64 (), another epoch, other random parts.
            workers: batches read at the same time; by default one per CPU core, at most 16.

        Returns:
            tf.data.Dataset: of (rows, pictures, ok), in the same order: a dict as `spec` with B in front, and bool (B,)
            whether the picture could be read.
        """
        # A data set per batch, because only a data set can step over what fails. `interleave` runs them in parallel; a
        # `map` that drains them (get_single_element) runs one at a time once ops are deterministic.
        workers = workers or min(os.cpu_count() or 1, 16)
        read = chosen.interleave(self._by_tensorflow, workers, num_parallel_calls=workers, deterministic=True)
        return read.map(self._mended, workers, deterministic=True)

    def plain(self, chosen: tf.data.Dataset, workers: int | None = None) -> tf.data.Dataset:
        """As a call, without Python, so that another process can run it.

        Args:
            chosen: of (rows, epoch, number int64 ()).
            workers: as for a call.

        Returns:
            tf.data.Dataset: of (rows, pictures, whole, number): bool () whether TensorFlow read all pictures; else they
            are 0.
        """
        workers = workers or min(os.cpu_count() or 1, 16)
        read = chosen.interleave(self._by_tensorflow, workers, num_parallel_calls=workers, deterministic=True)
        return read.map(self._whole, workers, deterministic=True)

    def one(self, row: int) -> Pictures | None:
        """A picture without a data set, the same to the last bit; None where it cannot be read.

        To build a data set takes as long as to read a hundred pictures.

        Args:
            row: in [0, N).
        """
        plain, odd = self._functions
        with tf.device("CPU:0"):
            rows = tf.constant([row], tf.int64)
            with suppress(tf.errors.OpError):  # as ignore_errors of a data set
                if not self._split.odd[row]:
                    return plain(rows)
            pictures, fine = odd(rows)
            return {key: pictures[key][0] for key in pictures} if fine[0] else None

    @cached_property
    def _functions(self) -> tuple[Callable, Callable]:
        """Of rows int64 (1,): by TensorFlow, and by Pillow. In graphs, because those leave out what nobody needs."""
        epoch = tf.constant(0, tf.int64)

        def plain(rows: tf.Tensor) -> Pictures:
            return self._plain(rows[0], self._stored(rows)[0], epoch)

        def odd(rows: tf.Tensor) -> tuple[Pictures, tf.Tensor]:
            return self._by_pillow(rows, epoch)

        return tf.function(plain, autograph=False), tf.function(odd, autograph=False)

    @tf.autograph.experimental.do_not_convert
    def _whole(
        self, rows: tf.Tensor, _: tf.Tensor, slots: tf.Tensor, pictures: Pictures, number: tf.Tensor
    ) -> tuple[tf.Tensor, Pictures, tf.Tensor, tf.Tensor]:
        shapes = {key: (rows.shape[0], *spec.shape) for key, spec in self.spec.items()}
        whole = tf.equal(tf.size(slots), rows.shape[0])
        nothing = {key: tf.zeros(shapes[key], spec.dtype) for key, spec in self.spec.items()}
        pictures = tf.cond(whole, lambda: pictures, lambda: nothing)
        return rows, {key: tf.ensure_shape(pictures[key], shapes[key]) for key in shapes}, whole, number

    @tf.autograph.experimental.do_not_convert
    def _by_tensorflow(self, rows: tf.Tensor, epoch: tf.Tensor, *tags: tf.Tensor) -> tf.data.Dataset:
        """One element: rows, epoch, slots int32 (n,) of the batch that TensorFlow could read, their pictures, tags."""
        plain = (rows >= 0) & ~tf.gather(self._odd, tf.maximum(rows, 0))
        slots = tf.cast(tf.where(plain)[:, 0], tf.int32)
        chosen = tf.boolean_mask(rows, plain)
        asked = (slots, chosen, self._stored(chosen))
        read = self._at_once(asked, epoch).concatenate(self._one_by_one(asked, epoch, rows.shape[0])).take(1)
        return read.map(lambda slots, made: (rows, epoch, slots, made, *tags))

    def _at_once(self, asked: tuple[tf.Tensor, tf.Tensor, tf.Tensor], epoch: tf.Tensor) -> tf.data.Dataset:
        """One element: slots int32 (n,), and their pictures; none where one of them fails."""

        @tf.autograph.experimental.do_not_convert
        def together(slots: tf.Tensor, rows: tf.Tensor, stored: tf.Tensor) -> tuple[tf.Tensor, Pictures]:
            # a loop inside one op: a data set that steps from picture to picture takes a tenth longer
            made = tf.map_fn(
                lambda each: self._plain(*each, epoch),
                (rows, stored),
                fn_output_signature=self.spec,
                parallel_iterations=1,
            )
            return slots, made

        # From slices, even a single one: with deterministic ops, other sources keep `interleave` from running in
        # parallel (measured: 17 pictures at a time with it, 1 without).
        whole = tuple(part[tf.newaxis] for part in asked)
        return tf.data.Dataset.from_tensor_slices(whole).map(together).ignore_errors()

    def _one_by_one(
        self, asked: tuple[tf.Tensor, tf.Tensor, tf.Tensor], epoch: tf.Tensor, batch_size: int
    ) -> tf.data.Dataset:
        """One element: the slots int32 (m,) that TensorFlow could read, and their pictures."""
        read = tf.data.Dataset.from_tensor_slices(asked)
        read = read.map(lambda slot, row, stored: (slot, self._plain(row, stored, epoch))).ignore_errors()
        # one more, so that it is never empty
        last = ([batch_size], {key: tf.zeros((1, *spec.shape), spec.dtype) for key, spec in self.spec.items()})
        read = read.concatenate(tf.data.Dataset.from_tensor_slices(last)).batch(batch_size + 1)
        return read.map(lambda slots, made: (slots[:-1], {key: made[key][:-1] for key in made}))

    @tf.autograph.experimental.do_not_convert
    def _mended(
        self, rows: tf.Tensor, epoch: tf.Tensor, slots: tf.Tensor, pictures: Pictures
    ) -> tuple[tf.Tensor, Pictures, tf.Tensor]:
        """Rows, pictures and whether they count: with what TensorFlow could not read."""
        batch_size = rows.shape[0]

        def mend() -> tuple[Pictures, tf.Tensor]:
            free = tf.scatter_nd(slots[:, tf.newaxis], tf.ones_like(slots), [batch_size]) == 0
            missing = tf.cast(tf.where(free & (rows >= 0))[:, 0], tf.int32)
            more, fine = self._by_pillow(tf.gather(rows, missing), epoch)
            where = tf.concat([slots, missing], 0)[:, tf.newaxis]
            ok = tf.scatter_nd(where, tf.concat([tf.ones_like(slots), tf.cast(fine, tf.int32)], 0), [batch_size]) > 0
            return {key: _scattered(key, where, tf.concat([pictures[key], more[key]], 0), ok) for key in pictures}, ok

        whole = tf.equal(tf.size(slots), batch_size)
        pictures, ok = tf.cond(whole, lambda: (pictures, tf.ones(batch_size, tf.bool)), mend)
        pictures = {key: tf.ensure_shape(pictures[key], (batch_size, *spec.shape)) for key, spec in self.spec.items()}
        return rows, pictures, tf.ensure_shape(ok, (batch_size,))

    def _stored(self, rows: tf.Tensor) -> tf.Tensor:
        """What is kept of each of the rows int64 (n,): paths, encoded bytes, or pixels."""
        if self._split.kind != "record":
            return tf.gather(self._images, rows)
        # All records of a batch in one call, so Python's lock is taken once.
        stored = tf.numpy_function(_weakly(self._files.records), [rows], tf.string, stateful=False)
        return tf.ensure_shape(stored, (None,))

    def _plain(self, row: tf.Tensor, stored: tf.Tensor, epoch: tf.Tensor) -> Pictures:
        window = self._window(row, epoch)
        if self._split.kind == "pixels":
            part = decode.cut(decode.match_channels(stored, self._channels), window)
        else:
            data = tf.io.read_file(stored) if self._split.kind == "path" else stored
            part = decode.decode(data, size=self._size, channels=self._channels, window=window)
        return self._fitted(row, part)

    def _by_pillow(self, rows: tf.Tensor, epoch: tf.Tensor) -> tuple[Pictures, tf.Tensor]:
        """Pictures of int64 (m,) rows, and bool (m,)."""
        kinds, masked = (tf.uint8, tf.int32, tf.int32, tf.bool), bool(AROUND.keys() & set(self.spec))

        def one(row: tf.Tensor) -> tuple[Pictures, tf.Tensor]:
            image, ratio, whole, ok = tf.numpy_function(_weakly(self._files.open), [row, masked], kinds, stateful=False)
            image = tf.ensure_shape(image, (None, None, self._channels))
            ratio, whole, ok = tf.ensure_shape(ratio, ()), tf.ensure_shape(whole, (2,)), tf.ensure_shape(ok, ())
            part = decode.cut(image, self._window(row, epoch), ratio, whole)
            return tf.cond(ok, lambda: self._fitted(row, part), self.blank), ok

        pictures, ok = tf.map_fn(one, rows, fn_output_signature=(self.spec, tf.TensorSpec((), tf.bool)))
        return pictures, tf.numpy_function(_weakly(self._files.stop_if_hopeless), [ok], tf.bool, stateful=False)

    def _window(self, row: tf.Tensor, epoch: tf.Tensor) -> Callable | None:
        if self._crop is None:
            return None
        seed = tf.random.experimental.stateless_fold_in(tf.stack([tf.constant(self._seed, tf.int64), epoch]), row)
        return decode.random_window(self._crop, seed)

    def _fitted(self, row: tf.Tensor, part: decode.Part) -> Pictures:
        """A picture as `spec` says."""
        example, classes = self._example(row, part)
        made = dict(self._prepare(example, self._size))
        if "boxes" in made:
            made["boxes"], made["classes"] = self._boxes.padded(made["boxes"], classes)
        shapes = {"image": (*self._size, self._channels), "whole": (2,), **dict.fromkeys(AROUND, self._size)}
        return made | {key: tf.ensure_shape(made[key], shape) for key, shape in shapes.items() if key in made}

    def _example(self, row: tf.Tensor, part: decode.Part) -> tuple[Pictures, tf.Tensor | None]:
        """What `prepare` takes, and the classes of its boxes."""
        example, classes = {"image": part.image, "whole": part.whole}, None
        if self._boxes is not None:
            found = self._boxes.of(row)
            found = found._replace(boxes=annotations.moved(found.boxes, part))
            found = found if self._crop is None else annotations.inside(found, part.image)
            example["boxes"], classes = found.boxes, found.classes
        if self._split.masks is not None:
            mask = tf.numpy_function(_weakly(self._files.mask), [row, part.whole], tf.uint8, stateful=False)
            mask = annotations.mask_inside(tf.ensure_shape(mask, (None, None)), part)
            own = {"mask": mask} if self._boxes is None else {"instances": annotations.renumbered(mask, found)}
            example |= own
        return example, classes

    def blank(self) -> Pictures:
        """What stands where no picture is."""
        return {key: tf.fill(spec.shape, tf.constant(BLANK[key], spec.dtype)) for key, spec in self.spec.items()}


def _scattered(key: str, where: tf.Tensor, values: tf.Tensor, ok: tf.Tensor) -> tf.Tensor:
    """Pictures at their places in the batch; blank where there is none."""
    made = tf.scatter_nd(where, values, (*ok.shape, *values.shape[1:]))
    counts = tf.reshape(ok, (*ok.shape, *[1] * (len(values.shape) - 1)))
    return tf.where(counts, made, tf.constant(BLANK[key], values.dtype))


def _weakly(method: Callable) -> Callable:
    """TensorFlow never lets go of a Python function in a graph; so it gets one that does not hold the files.

    They live as long as the data set, which its iterators hold.
    """
    reference = weakref.WeakMethod(method)
    return lambda *arguments: reference()(*arguments)
