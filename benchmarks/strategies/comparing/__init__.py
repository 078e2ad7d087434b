"""What ``benchmarks.strategies.compare`` is made of: problems, methods, a cache of their runs, and the report."""
