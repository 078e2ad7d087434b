"""Search strategies, one algorithm a file, named after the algorithm."""

if __name__ != "searchkit.strategies":  # under two names, one class would exist twice
    raise ImportError("this folder is imported as searchkit.strategies, not as " + __name__)
