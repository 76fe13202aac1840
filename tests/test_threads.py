"""Work shared among threads: who does what, what comes back, and what the BLAS is left with."""

import os
import sys
import threading

import numpy as np
import pytest

from minigrad import threads


class Library:
    """A BLAS as threadpoolctl shows it."""

    def __init__(self, num_threads):
        self.num_threads = num_threads

    def set_num_threads(self, num_threads):
        self.num_threads = num_threads


@pytest.fixture
def blas(monkeypatch):
    """A BLAS that may use three threads."""
    library = Library(3)
    monkeypatch.setattr(threads, "_blas", lambda: [library])
    return library


@pytest.mark.parametrize("count", [3, 7, 10])
def test_parts_make_up_the_range_in_order(blas, count):
    parts = threads.share(count, lambda part: np.arange(count)[part])
    assert len(parts) == 3
    assert np.concatenate(parts).tolist() == list(range(count))


def test_there_are_no_more_parts_than_things(blas):
    assert threads.share(2, lambda part: part) == [slice(0, 1), slice(1, 2)]
    assert threads.share(1, lambda part: part) == [slice(0, 1)]
    assert threads.share(0, lambda part: part) == [slice(0, 0)]


def test_each_part_has_a_thread_of_its_own_and_the_first_is_the_callers(blas):
    meet = threading.Barrier(3)  # passes only if all three are under way at once

    def work(part):
        meet.wait(timeout=60)
        return threading.get_ident()

    found = threads.share(3, work)
    assert len(set(found)) == 3
    assert found[0] == threading.get_ident()


def test_the_blas_keeps_to_one_thread_meanwhile(blas):
    assert threads.share(3, lambda part: blas.num_threads) == [1, 1, 1]
    assert blas.num_threads == 3


def test_where_the_blas_has_one_thread_nothing_is_shared(blas):
    blas.num_threads = 1
    assert threads.share(5, lambda part: part) == [slice(0, 5)]


def test_without_threadpoolctl_nothing_is_shared(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    monkeypatch.setattr(threads, "_blas", threads._blas.__wrapped__)
    assert threads.workers() == 1
    assert threads.share(5, lambda part: part) == [slice(0, 5)]


def test_sharing_within_a_share_is_not_shared(blas):
    inner = threads.share(3, lambda part: threads.share(4, lambda part: part))
    assert inner == [[slice(0, 4)]] * 3


@pytest.mark.parametrize("failing", [0, 2])
def test_an_error_comes_to_the_caller_and_the_blas_is_free_again(blas, failing):
    def work(part):
        if part.start == failing:
            raise ZeroDivisionError(f"part {failing}")

    with pytest.raises(ZeroDivisionError, match=f"part {failing}"):
        threads.share(3, work)
    assert blas.num_threads == 3
    assert len(threads.share(3, lambda part: part)) == 3


def test_error_state_of_the_caller_holds_in_every_thread(blas):
    with np.errstate(over="raise"):
        states = threads.share(3, lambda part: np.geterr()["over"])
    assert states == ["raise"] * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_shares_among_threads_of_its_own(blas):
    assert len(threads.share(3, lambda part: part)) == 3
    child = os.fork()
    if child == 0:
        os._exit(0 if len(threads.share(3, lambda part: part)) == 3 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
