"""What is used of MLflow that has no public name; checked on mlflow 3.17.2.

Where a later MLflow has moved a name, ``tests/test_compat.py`` says which.
"""

from __future__ import annotations

from typing import Any


def store_of(client: object) -> Any:
    """Where a client writes; None where its MLflow has other names for it."""
    return getattr(getattr(client, "_tracking_client", None), "store", None)
