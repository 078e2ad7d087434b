"""Shared by the trackers: one event order, curves of a search, and work done in the background."""
