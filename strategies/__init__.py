"""Search strategies, one algorithm a file, named after the algorithm."""

if __name__ != "searchkit.strategies":  # two copies of a class that are not identical are a silent hazard
    raise ImportError("this folder is imported as searchkit.strategies, not as " + __name__)
