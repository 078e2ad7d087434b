"""Passes: forward and backward runs of a network that several proxies read."""
