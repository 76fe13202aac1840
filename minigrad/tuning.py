"""Two settings of the C libraries beneath NumPy, made when `minigrad` is imported.

OpenBLAS lets its threads spin for about a tenth of a second after a product, in case another one
follows, and all that time they take the processors from the threads of `minigrad.threads`. It reads
how long from the environment when NumPy is loaded, so this file comes before everything else, and
``import minigrad`` before ``import numpy`` where that can be had.

glibc gives the memory of large arrays back to the system as soon as they are freed, and a training
step that allocates them again pays for every page. It is asked to keep what it has: at most what
was once in use at the same time, arrays above 32 MB excepted.

Whoever has set one of the two in the environment has the last word.
"""

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # see mallopt(3)

os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "22")  # 2²² cycles: one or two milliseconds


def keep_pages() -> bool:
    """Ask the C library to keep freed memory; False where it knows no such thing."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, 32 << 20) and mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1))


if not {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & set(os.environ):
    keep_pages()
