"""Proxies: each alone, the layer that combines them, and how fast networks are scored."""
