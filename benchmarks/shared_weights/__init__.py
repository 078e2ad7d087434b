"""Weights shared by all networks of a space: what they say of networks, and how their paths are drawn."""
