"""Two objectives, a number on a logarithmic scale, and widths of as many layers as there are."""

from __future__ import annotations

import optuna
import optunahub


def objective(trial: optuna.Trial) -> tuple[float, float]:
    lr = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    layers = trial.suggest_int("layers", 1, 4)
    widths = [trial.suggest_categorical(f"width_{i}", (16, 32, 64)) for i in range(layers)]
    return abs(lr - 1e-2) + 1 / sum(widths), float(sum(widths))


sampler = optunahub.load_module("samplers/searchkit_bo").SearchkitBOSampler(seed=0)
study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
study.optimize(objective, n_trials=30)
for trial in study.best_trials:
    print(trial.values, trial.params)
