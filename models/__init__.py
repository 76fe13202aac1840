"""Every classic neural architecture, one module each, which tells the whole model.

A module states where the model comes from and its equations, defines the network, its step, its
evaluation and its pictures, and ends in an `ARCHITECTURE`, by which the commands find it. What all
models share stands beside them: `architecture` (what a module must define), `data`, `training` (the
loop), `run` (the folder a run leaves behind) and `pictures`.

    python -m models list
    python -m models train lenet --dataset digits
"""

from importlib.util import find_spec

import minigrad  # noqa: F401, before NumPy: it says how long OpenBLAS's idle threads may spin

_missing = [name for name in ("matplotlib", "safetensors", "tqdm") if find_spec(name) is None]
if _missing:
    raise ImportError(
        f"models: needs {', '.join(_missing)}; in the checkout say pip install '.[models]'"
    )
