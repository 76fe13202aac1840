"""minigrad, by the program in `benchmarks.engines.networks` and, of an RBM, its own."""

from __future__ import annotations

import minigrad
import minigrad.nn
import minigrad.optim
from benchmarks.engines.networks import Step, steps
from benchmarks.workloads import Arrays, Workload

NAME = "minigrad"


def prepare(threads: int) -> None:
    """Its threads are those of NumPy's BLAS, which the harness sets."""


def version() -> str:
    return minigrad.__version__


def rbm(workload: Workload, arrays: Arrays) -> Step:
    """The step of the model itself, which draws the numbers that the others are handed."""
    from models.rbm import RBM

    hidden, visible = arrays["rbm.weight"].shape
    network = RBM(visible, hidden)
    names = list(network.state_dict())
    network.load_state_dict({name: arrays[f"rbm.{name}"] for name in names})
    x = minigrad.as_tensor(arrays["x"].copy())
    lr, seed = workload.settings["lr"], workload.settings["seed"]

    def step() -> minigrad.Tensor:
        minigrad.manual_seed(seed)
        return network.cd_step(x, lr)

    return step


STEPS = {**steps(minigrad, lambda y: y.numpy()), "rbm": rbm}
