"""How fast the engine is, measured side by side with others: ``python -m benchmarks``."""
