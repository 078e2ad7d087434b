"""Proxies: cheap predictors of how good a network is. One a file, named after the proxy."""

if __name__ != "searchkit.proxies":  # under two names, one class would exist twice
    raise ImportError("this folder is imported as searchkit.proxies, not as " + __name__)
