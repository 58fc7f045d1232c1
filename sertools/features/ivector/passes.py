"""Passes over a corpus that is larger than memory: batches of cuts, read and worked on by threads."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from lhotse.cut import Cut
from torch import Tensor

from sertools.errors import UserError
from sertools.features.records import check_archive

S = TypeVar("S")
Progress = Callable[[int, int], None]
BATCH_FRAMES = 20000


def make_batches(cuts: Sequence[Cut], frames: int = BATCH_FRAMES) -> list[list[Cut]]:
    """Consecutive cuts in batches of at least ``frames`` frames (the last: the rest)."""
    batches: list[list[Cut]] = [[]]
    count = 0
    for cut in cuts:
        if count >= frames:
            batches.append([])
            count = 0
        batches[-1].append(cut)
        count += cut.num_frames
    return batches


def read_features(cut: Cut) -> Tensor:
    """float32 (T, F).

    Raises:
        UserError: they are missing, empty or not finite.
    """
    if not cut.has_features:
        raise UserError(f"{cut.id} has no features; run the feature stage (local/collect_features.py)")
    check_archive(cut.features.storage_path)
    features = torch.from_numpy(cut.load_features()).float()
    if len(features) == 0:
        raise UserError(f"{cut.id} has no frames; leave it out of the manifest")
    if not bool(torch.isfinite(features).all()):
        raise UserError(f"{cut.id}: features are not finite (NaN or infinite); run the feature stage again")
    return features


def one_pass(
    batches: Sequence[Sequence[Cut]],
    new: Callable[[], S],
    work: Callable[[S, int, list[Tensor]], None],
    workers: int,
    progress: Progress,
) -> list[S]:
    """Go once through the corpus.

    Worker w of W takes batches w, w + W, ...: what it accumulates does not depend on timing.

    Args:
        batches: see :func:`make_batches`.
        new: makes an empty accumulator, one a worker.
        work: called with the accumulator, the batch's number and its features.
        workers: threads.
        progress: called with (batches done, batches in all).

    Returns:
        The accumulators, in the order of workers.
    """
    workers = max(1, min(workers, len(batches)))
    accumulators = [new() for _ in range(workers)]
    finished: queue.Queue[BaseException | None] = queue.Queue()
    stop = threading.Event()

    def go(number: int) -> None:
        try:
            for index in range(number, len(batches), workers):
                if stop.is_set():
                    return
                work(accumulators[number], index, [read_features(cut) for cut in batches[index]])
                finished.put(None)
        except BaseException as error:
            finished.put(error)

    threads = [threading.Thread(target=go, args=(number,), daemon=True) for number in range(workers)]
    for thread in threads:
        thread.start()
    try:
        for done, error in enumerate(_results(finished, len(batches)), start=1):
            if error is not None:
                raise error
            progress(done, len(batches))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return accumulators


def _results(finished: "queue.Queue[BaseException | None]", count: int) -> Iterator[BaseException | None]:
    for _ in range(count):
        yield finished.get()
