"""How fast the engine is, measured side by side with others: ``python -m benchmarks``."""

import minigrad  # noqa: F401, before NumPy: it says how long OpenBLAS's idle threads may spin
