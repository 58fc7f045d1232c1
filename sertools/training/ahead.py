"""Work that is done before it is asked for."""

import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Iterate in a thread, ``depth`` items ahead of whoever asks.

    Args:
        source: what is iterated.
        prepare: applied to each item, in the thread.
        depth: items that may wait.
    """

    def __init__(self, source: Iterable[Any], prepare: Callable[[Any], T], depth: int = 3) -> None:
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(source, prepare), daemon=True)
        self._thread.start()

    def _run(self, source: Iterable[Any], prepare: Callable[[Any], T]) -> None:
        try:
            for item in source:
                self._put("item", prepare(item))
                if self._stop.is_set():
                    return
            self._put("end", None)
        except BaseException as error:
            self._put("error", error)

    def _put(self, kind: str, value: Any) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put((kind, value), timeout=0.1)
                return
            except queue.Full:
                continue

    def __iter__(self) -> "Ahead[T]":
        return self

    def __next__(self) -> T:
        kind, value = self._queue.get()
        if kind == "item":
            return value  # type: ignore[no-any-return]
        self.close()
        if kind == "error":
            raise value
        raise StopIteration

    def close(self) -> None:
        """End the thread, also before the end."""
        self._stop.set()
        self._thread.join(timeout=10)

    def __del__(self) -> None:
        self._stop.set()
