"""Work on the host shared among threads, as many as the BLAS would use by itself.

The BLAS runs one large product on all of its threads. A convolution is many small products with
copies in between, and there it is faster the other way round: every thread takes some of the images
and does all that is to be done for them, with a BLAS that keeps to that thread.

How many threads the BLAS has, and how to hold it to one, is known to threadpoolctl (the extra
``threads``); without it, and where the BLAS has one thread, nothing is shared.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import cache
from typing import Any

_in_use = threading.Lock()  # one share at a time: the number of threads of the BLAS is global


@cache
def _blas() -> list[Any]:
    """The BLAS libraries of this process, as threadpoolctl hands them out."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return []
    return ThreadpoolController().select(user_api="blas").lib_controllers


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="minigrad")


os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of its parent's threads


def workers() -> int:
    """How many threads share work: those that the BLAS is allowed to use."""
    return max((library.num_threads for library in _blas()), default=1)


def share(count: int, work: Callable[[slice], Any]) -> list[Any]:
    """``[work(part), …]`` for slices that make up range(count), each on a thread of its own.

    Where another thread is sharing already, ``[work(slice(0, count))]``.
    """
    n = min(workers(), count)
    if n < 2 or not _in_use.acquire(blocking=False):
        return [work(slice(0, count))]
    allowed = [(library, library.num_threads) for library in _blas()]
    parts = [slice(count * i // n, count * (i + 1) // n) for i in range(n)]
    others: list[Future] = []
    try:
        for library, _ in allowed:
            library.set_num_threads(1)
        others += [_pool().submit(copy_context().run, work, part) for part in parts[1:]]
        first = work(parts[0])
    finally:
        wait(others)
        for library, threads in allowed:
            library.set_num_threads(threads)
        _in_use.release()
    return [first, *(other.result() for other in others)]
