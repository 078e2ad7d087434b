"""What readers of the README and the documentation have, and calls of theirs with less to do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import searchkit
from searchkit.compression.learning import LearningSetting
from searchkit.proxies.dna_setting import DNASetting


def a_network() -> nn.Module:
    """One that takes the digits."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


def compress_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a bound that a network as small as the reader's can meet, and with little training."""
    compress = searchkit.compress
    learning = LearningSetting(least=20, passes=0.1)
    less = {"constraints": {"params": "60%"}, "epochs": 1, "progress": False, "learning": learning}

    def small(*given: Any, **more: Any) -> Any:
        return compress(*given, **(more | less))

    monkeypatch.setattr(searchkit, "compress", small)


def search_less(monkeypatch: pytest.MonkeyPatch, evaluations: int, workers: int | None) -> None:
    """Searches and tables of scores with fewer and smaller networks and data where a call does not say which.

    Args:
        evaluations: budget of a search of a function.
        workers: executor where a number of worker processes is given.
    """
    run, score, shared = searchkit.run, searchkit.score, searchkit.SharedWeights
    digits, more_digits = (searchkit.load_data("digits", limit=limit) for limit in (200, 600))
    narrow = {"macro": searchkit.load_space("macro", width=8)}
    usual = searchkit.load_space("residual", width=(8, 12), stages=2)  # of pictures

    def few(data: Any) -> Any:
        if isinstance(data, str) and data == "digits":
            return more_digits  # with which weights that are shared learn something
        return digits if data is None else data

    def less(*args: Any, **given: Any) -> Any:
        if isinstance(given.get("executor"), int):
            given["executor"] = workers
        if "evaluate" in given:
            return run(*args, **(given | {"budget": evaluations}))
        budget = 5 if given.get("name") == "first" else 2  # what an earlier study has to have
        given |= {"budget": budget, "progress": False, "screen": 2}
        given |= {} if callable(given.get("training")) else {"epochs": 4 if "ladder" in given else 1}
        given |= {"verify": 1} if "verify" in given else {}
        if given.get("space") is None and str(given.get("data")) in ("None", "digits"):
            given["space"] = usual
        given["data"] = few(given.get("data"))
        return run(*args, **(given | {"space": narrow.get(given.get("space"), given.get("space"))}))

    quick = DNASetting(epochs=1, steps=2, images=64, rated=32, recalibrated=32, teacher_epochs=1)
    monkeypatch.setattr("searchkit.proxies.block_ratings.DNASetting", lambda: quick)
    monkeypatch.setattr("searchkit.proxy_layer.signals.N_REFERENCE", 10)  # networks that are scored in any case
    monkeypatch.setattr(searchkit, "run", less)
    monkeypatch.setattr(  # of the estimators
        "searchkit.integrations.sklearn.search.run",
        lambda *args, **given: run(*args, **(given | {"budget": 3, "epochs": 2})),
    )

    def few_scores(space: Any, networks: Any, **given: Any) -> Any:
        given |= {"data": few(given["data"])} if "data" in given else {}
        networks = min(networks, 10) if isinstance(networks, int) else networks
        return score(narrow.get(space, space), networks, **(given | {"workers": None} if "workers" in given else given))

    def few_epochs(space: Any, data: Any, **more: Any) -> Any:
        return shared(space, few(data), **(more | {"epochs": min(more["epochs"], 4)}))

    monkeypatch.setattr(searchkit, "SharedWeights", few_epochs)
    monkeypatch.setattr(searchkit, "score", few_scores)
