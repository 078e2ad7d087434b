"""What was measured, as scripts: README.md lists them, docs/benchmarks.md has their tables.

They run as modules, from the repository's root: ``python -m benchmarks.strategies.compare``.
"""
