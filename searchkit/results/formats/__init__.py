"""Formats: the files in which networks are exported, a module for each, which is imported when it is asked for.

A module has ``write(network, example, files, names)``, which writes the files, and ``opened(files)``, which loads them
in their own runtime and returns a function from inputs to outputs. The names stand in
:data:`searchkit.results.formats.table.FORMATS`.
"""
