"""Shared by the trackers of searches (JSON lines, MLflow, TensorBoard)."""
