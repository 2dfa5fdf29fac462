import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmsa.inference.threads import ahead


@given(st.lists(st.integers()), st.integers(1, 5))
def test_order_stays(items, most):
    assert list(ahead(iter(items), most)) == items


def test_it_reads_no_further_ahead_than_asked():
    read = []

    def items():
        for number in range(100):
            read.append(number)
            yield number

    stream = ahead(items(), 3)
    for taken in range(5):
        assert next(stream) == taken
        time.sleep(0.02)
        # Three wait in the queue, and one in the thread's hand.
        assert len(read) <= taken + 1 + 3 + 1
    stream.close()


def test_an_error_comes_after_what_came_before_it():
    def items():
        yield 1
        raise RuntimeError("burnt")

    stream = ahead(items(), 2)
    assert next(stream) == 1
    with pytest.raises(RuntimeError, match="burnt"):
        next(stream)


def test_closing_ends_the_thread_and_closes_what_it_reads():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    stream = ahead(items(), 1)
    next(stream)
    stream.close()
    assert closed.wait(2)
