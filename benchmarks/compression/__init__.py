"""Trained networks made to fit bounds: see benchmarks/README.md."""
