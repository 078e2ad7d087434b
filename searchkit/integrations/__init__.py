"""searchkit inside the pipelines people already have: one module a library, imported only by those who use it."""
