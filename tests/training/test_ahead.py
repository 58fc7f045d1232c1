"""Items prepared in a thread: all, in order, with the source's errors, and not without end."""

import itertools
import threading
import time

import pytest

from sertools.training.ahead import Ahead


def test_order_and_end() -> None:
    assert list(Ahead(range(50), lambda x: x * x, depth=3)) == [x * x for x in range(50)]


def test_errors_come_where_they_happened() -> None:
    items = Ahead([1, 2, 0, 4], lambda x: 4 / x)
    assert [next(items), next(items)] == [4.0, 2.0]
    with pytest.raises(ZeroDivisionError):
        next(items)


def test_no_further_ahead_than_asked_and_ends_when_closed() -> None:
    taken = []

    def source() -> itertools.count:
        for number in itertools.count():
            taken.append(number)
            yield number

    before = threading.active_count()
    items = Ahead(source(), lambda x: x, depth=2)
    assert next(items) == 0
    time.sleep(0.3)
    assert len(taken) <= 5
    items.close()
    assert threading.active_count() == before
