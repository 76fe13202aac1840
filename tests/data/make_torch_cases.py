"""Write torch_cases.npz: what PyTorch computes for the networks of ../torch_cases.py.

Run from the checkout, with the `peers` extra installed::

    python tests/data/make_torch_cases.py

The file beside this script was written with PyTorch 2.13.0 (CPU) and NumPy 2.4.6; both versions
stand in it under "versions". All numbers are float64.
"""

import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))

from tests import torch_cases as cases  # noqa: E402, found only after the line above


def main():
    library = cases.Torch(torch)
    arrays = {"versions": np.array([f"torch {torch.__version__}", f"numpy {np.__version__}"])}
    for name in [*cases.LAYERS, *cases.MODELS]:
        state, x = cases.inputs(library, name)
        arrays[f"{name}|x"] = x
        arrays |= {f"{name}|state|{key}": value for key, value in state.items()}
        for train in cases.modes(name):
            found = cases.evaluate(library, name, state, x, train)
            arrays |= {f"{name}|{train}|{key}": value for key, value in found.items()}
    for name, training in cases.RUNS:
        state, x = cases.inputs(library, name)
        found = cases.train(library, name, training, state, x)
        arrays |= {f"{name}|{training}|{key}": value for key, value in found.items()}
    path = HERE / "torch_cases.npz"
    np.savez_compressed(path, allow_pickle=False, **arrays)
    print(f"{path}: {len(arrays)} arrays, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
