"""Hypothesis profiles, and the tests that want a GPU.

``dev`` looks further with every run, ``ci`` always tries the same cases. ``HYPOTHESIS_PROFILE``
chooses one by name; without it CI gets ``ci``. ``full`` is the long look of ``make test-full``.

Tests marked `gpu` are skipped where CuPy cannot be used. On a machine with a GPU such a skip would
look like success: ``--gpu-only`` runs these tests alone, and lets them fail with the reason.
"""

import functools
import os

import pytest
from hypothesis import HealthCheck, settings

import minigrad as mg

settings.register_profile(
    "dev", max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.register_profile("full", settings.get_profile("dev"), max_examples=50)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev"))


def pytest_addoption(parser):
    parser.addoption(
        "--gpu-only",
        action="store_true",
        help="run only the tests marked gpu, and fail where CuPy cannot be used",
    )


def pytest_collection_modifyitems(config, items):
    if config.getoption("--gpu-only"):
        others = [item for item in items if item.get_closest_marker("gpu") is None]
        items[:] = [item for item in items if item.get_closest_marker("gpu") is not None]
        config.hook.pytest_deselected(items=others)


@functools.cache
def cupy():
    """Whether CuPy can be used here and, if not, why."""
    return mg.backends()["cupy"]


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") is not None and not cupy().usable:
        refuse = pytest.fail if item.config.getoption("--gpu-only") else pytest.skip
        refuse(cupy().detail)
