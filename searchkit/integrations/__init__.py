"""searchkit inside other libraries: one package or module for each, imported only by those who use it."""
