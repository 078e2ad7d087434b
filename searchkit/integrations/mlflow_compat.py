"""What is used of MLflow that has no public name; checked on mlflow 3.17.2.

Where a later MLflow has moved a name, ``tests/test_compat.py`` says which.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def store_of(client: object) -> Any:
    """Where a client writes; None where its MLflow has other names for it."""
    return getattr(getattr(client, "_tracking_client", None), "store", None)


def keep_artefacts_in(client: Any, folder: Path) -> None:
    """Have the default folder for artefacts of a database, ``./mlruns``, in a folder and not in the working folder."""
    store = store_of(client)
    root = getattr(store, "artifact_root_uri", None)
    if isinstance(root, str) and "://" not in root and Path(root).name == "mlruns" and hasattr(store, "db_uri"):
        store.artifact_root_uri = (folder / "mlruns").as_posix()
