"""PyTorch on the CPU, eager, by the program in `benchmarks.engines.networks`."""

from __future__ import annotations

import re

import torch

from benchmarks.engines.networks import steps

NAME = "torch"


def prepare(threads: int) -> None:
    torch.set_num_threads(threads)


def version() -> str:
    """With the libraries that compute, as PyTorch names them."""
    pattern = r"Math Kernel Library Version [\w.]+|MKL-DNN v[\w.]+|oneDNN v[\w.]+"
    libraries = re.findall(pattern, torch.__config__.show())
    kernels = f"kernels {torch.backends.cpu.get_cpu_capability()}"
    return ", ".join([torch.__version__, *libraries, kernels])


STEPS = steps(torch, lambda y: y.detach().numpy())
