"""Searches that are killed, cut, damaged, interrupted and starved of disk: see ``__main__``."""
