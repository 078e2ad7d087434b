"""How close 30 trials of a sampler come to the best cell of NAS-Bench-201."""

from __future__ import annotations

import optuna
import optunahub


tables = optunahub.load_module("benchmarks/nas_tables")
problem = tables.Problem("nas-bench-201", objectives=("accuracy", "params"))
study = optuna.create_study(
    directions=problem.directions, sampler=optuna.samplers.TPESampler(seed=0)
)
study.optimize(problem, n_trials=30)
print(f"{problem.metric_names}: {problem.regret(study):.3f} of the front's hypervolume is missing")
