"""Engines side by side: their losses compared, then their steps timed in turn.

Each engine has a process of its own, as it has where it is used: its threads, its allocator and its
settings are not those of another one, and while one works the others sleep.

Believe ratios of one run. A turn of an engine is a pause, some steps that are not counted, and some
that are. The uncounted ones are not only for caches: a BLAS keeps its threads spinning for a while
after its last product, and what another engine computes meanwhile shares the cores with them.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import threadpoolctl

from benchmarks.workloads import Workload

OURS = "minigrad"
FLOOR = "floor"
PEERS = ("torch", "jax", "autograd", "mygrad", "dezero", "chainer")
ON_NUMPY = ("autograd", "mygrad", "dezero", "chainer")

TOLERANCE = 1e-4  # relative, between the losses of two engines in float32
FIRST_STEPS = 3  # whose losses are compared

PAUSE = 0.12  # seconds in which the threads of the engine before fall asleep
SETTLE = 0.1  # seconds of steps that are not counted
LISTEN = 0.2  # seconds in which other programs are looked for
TURN = 0.2  # seconds of steps that are, at least
LEAST_ROUNDS = 5

Step = Callable[[], Any]


@dataclass
class Timing:
    """One engine on one workload.

    Attributes:
        losses: of the first steps.
        times: the median step of each round, in seconds.
        problem: why there are no times; None where there are.
    """

    losses: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    problem: str | None = None

    @property
    def median(self) -> float:
        return float(np.median(self.times))


@dataclass
class Result:
    """All engines on one workload, and the floor under the name "floor".

    `others` is how many processors other programs kept busy before or after; see `others_busy`.
    """

    workload: Workload
    timings: dict[str, Timing]
    others: float = 0.0

    def ratio(self, engine: str, other: str) -> tuple[float, float, float] | None:
        """Quartiles and median (first, median, third) of engine / other over the rounds; None
        where one of them has no times."""
        ours = self.timings.get(engine, Timing()).times
        theirs = self.timings.get(other, Timing()).times
        if not ours or not theirs:
            return None
        first, median, third = np.quantile(np.divide(ours, theirs), (0.25, 0.5, 0.75))
        return float(first), float(median), float(third)

    def fastest(self, engines: Sequence[str]) -> str | None:
        """Which of the engines has the least median; None where none was timed."""
        timed = [name for name in engines if self.timings.get(name, Timing()).times]
        return min(timed, key=lambda name: self.timings[name].median, default=None)


class EngineError(RuntimeError):
    """An engine cannot be had, or cannot do what it is asked; the message says why."""


class Engine(Protocol):
    """What builds workloads and times their steps."""

    version: str
    workloads: Sequence[str]
    thread_pools: list[str]

    def build(self, workload: Workload) -> list[float]:
        """Get ready for the turns of a workload; returns the losses of its first steps."""

    def turn(self) -> float:
        """The median of the counted steps of one turn, in seconds."""

    def close(self) -> None:
        """Nothing more will be asked."""


class Local:
    """An engine in this process: the module of that name in `benchmarks.engines`.

    Raises:
        EngineError: it cannot be imported.
    """

    def __init__(self, name: str, threads: int) -> None:
        try:
            module = importlib.import_module(f"benchmarks.engines.{name}")
            module.prepare(threads)
            self.version = module.version()
        except Exception as error:  # whatever an old library meets in a new environment
            raise EngineError(one_line(error)) from error
        threadpoolctl.threadpool_limits(threads)
        self.thread_pools = thread_pools()
        self.steps: Mapping[str, Callable[..., Step]] = module.STEPS
        self.workloads = list(self.steps)
        self._make: Callable[[], Step] | None = None

    def build(self, workload: Workload) -> list[float]:
        self._make = None  # the memory of the workload before is free now
        grow_the_heap()
        self._make = partial(self.steps[workload.name], workload, workload.arrays())
        return first_losses(self._make())

    def turn(self) -> float:
        # From the same weights each time: after a thousand steps on one batch a network has learned
        # it, gradients are denormal numbers, and arithmetic with those is many times slower.
        assert self._make is not None
        return turn(self._make())

    def close(self) -> None:
        self._make = None


class Remote:
    """An engine in a process of its own, see `benchmarks.worker`.

    Raises:
        EngineError: it cannot be imported there.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        try:
            about = self._reply()
        except EngineError:
            self.close()
            raise
        self.version = about["version"]
        self.workloads = about["workloads"]
        self.thread_pools = about["thread_pools"]

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise EngineError(f"its process ended with code {self._process.returncode}")
        reply = json.loads(line)
        if "problem" in reply:
            raise EngineError(reply["problem"])
        return reply

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        print(json.dumps(request), file=self._process.stdin)
        return self._reply()

    def build(self, workload: Workload) -> list[float]:
        return self._ask(build=workload.name)["losses"]

    def turn(self) -> float:
        return self._ask(turn=True)["time"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def thread_pools() -> list[str]:
    """The libraries in this process that have threads, with their kernels."""
    lines = []
    for pool in threadpoolctl.threadpool_info():
        kernels = f", kernels {pool['architecture']}" if "architecture" in pool else ""
        version = pool["version"] or "of an unknown version"
        threads = f"{pool['num_threads']} thread{'s' if pool['num_threads'] > 1 else ''}"
        where = Path(pool["filepath"]).name
        lines.append(f"{pool['internal_api']} {version}{kernels}, {threads} ({where})")
    return lines


def load(names: Sequence[str], threads: int) -> tuple[dict[str, Engine], dict[str, str]]:
    """The engines by name, each in a process of its own and on so many threads, and for each one
    that cannot be had a note that says why."""
    engines: dict[str, Engine] = {}
    notes = {}
    for name in names:
        try:
            engines[name] = Remote(name, threads)
        except EngineError as error:
            notes[name] = f"absent: {error}"
    return engines, notes


def one_line(error: Exception) -> str:
    """An exception in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def measure(workload: Workload, engines: Mapping[str, Engine], seconds: float) -> Result:
    """Compare the losses of the engines on a workload, and time those that agree.

    Args:
        seconds: how long to measure, for each engine.
    """
    timings: dict[str, Timing] = {}
    for name, engine in engines.items():
        if workload.name not in engine.workloads:
            continue
        timing = timings[name] = Timing()
        try:
            timing.losses = engine.build(workload)
        except EngineError as error:  # one engine's trouble is not the others'
            timing.problem = f"failed: {error}"
    compare({name: timing for name, timing in timings.items() if name != FLOOR})
    turns = {name: engines[name].turn for name, timing in timings.items() if not timing.problem}
    before = others_busy()
    for name, times in take_turns(turns, seconds).items():
        timings[name].times = times
    return Result(workload, timings, max(before, others_busy()))


def others_busy() -> float:
    """How many processors other programs keep busy; 0 where the system does not say."""
    time.sleep(PAUSE)
    before, start = _busy() - time.process_time(), time.monotonic()
    time.sleep(LISTEN)
    busy, elapsed = _busy() - time.process_time() - before, time.monotonic() - start
    return max(0.0, busy / elapsed)


def _busy() -> float:
    """Seconds that the processors have worked since the machine started, by proc_stat(5)."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return time.process_time()  # as if this program were alone
    user, nice, system = map(int, stat.read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def first_losses(step: Step) -> list[float]:
    """The losses of the first steps."""
    losses = []
    for _ in range(FIRST_STEPS):
        loss = step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's, about numbers that have a graph
            losses.append(float(loss))
    return losses


def compare(timings: Mapping[str, Timing]) -> None:
    """Mark the engines whose losses are not those of the reference: PyTorch where it ran, else the
    first engine."""
    ran = {name: timing for name, timing in timings.items() if timing.problem is None}
    if not ran:
        return
    reference = "torch" if "torch" in ran else next(iter(ran))
    for timing in ran.values():
        if not np.allclose(timing.losses, ran[reference].losses, rtol=TOLERANCE, atol=0.0):
            timing.problem = (
                f"computes something else: losses {timing.losses}, {reference} has "
                f"{ran[reference].losses}"
            )


def take_turns(
    turns: Mapping[str, Callable[[], float]], seconds: float
) -> dict[str, list[float]]:
    """What the turns return, for each engine and round; each round begins with another engine.

    Goes on for `seconds` an engine.
    """
    names = list(turns)
    times: dict[str, list[float]] = {name: [] for name in names}
    start = time.perf_counter()
    rounds = 0
    while rounds < LEAST_ROUNDS or time.perf_counter() - start < seconds * len(names):
        for name in rotated(names, rounds):
            times[name].append(turns[name]())
        rounds += 1
    return times


def grow_the_heap() -> None:
    """Bring the allocator into the state that any large model leaves behind.

    glibc returns a large block to the system at once, and gets a fresh one page by page, until a
    block of that size has been freed before (M_MMAP_THRESHOLD in mallopt(3)). Without this, small
    workloads would take longer when they come first than after a large one.
    """
    largest = 32 << 20  # up to where the threshold moves
    np.ones(largest - 4096, np.uint8)


def rotated(names: Sequence[str], rounds: int) -> list[str]:
    """The names in turn, from another one on in each round."""
    first = rounds % max(len(names), 1)
    return [*names[first:], *names[:first]]


def turn(step: Step) -> float:
    """The median of the counted steps of one turn, in seconds."""
    time.sleep(PAUSE)
    start = time.perf_counter()
    while time.perf_counter() - start < SETTLE:
        step()
    times: list[float] = []
    start = before = time.perf_counter()
    while not times or before - start < TURN:
        step()
        after = time.perf_counter()
        times.append(after - before)
        before = after
    return float(np.median(times))
