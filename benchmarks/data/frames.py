"""Data frames: networks that searches deliver for them, beside gradient boosting and linear models of scikit-learn.

    python -m benchmarks.data.frames [--sets shop breast-cancer wine diabetes] [--seconds 60] [--seeds 0 1 2]

**shop** is made here: 4,000 customers in 3 classes by what they spend. Columns are numbers of several scales, a
boolean, a country with its regions and their cities (60), a kind of product with its products (150), a text of two
words, and two dates; a tenth of the values is missing. The others come with scikit-learn and are frames of complete
numbers.

All models have the same parts: the network is delivered by a search on train and validation part (with its last
training on both), and the models of scikit-learn are fitted on both, to the rows that the encoder of the train part
makes; gradient boosting also to the frame itself, where it splits categories and missing values its own way.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

import searchkit
from benchmarks.common.machine import describe
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.types import Task

SETS = ("shop", "breast-cancer", "wine", "diabetes")
ADJECTIVES = ("red", "blue", "large", "small", "old", "new", "plain", "fine")


def shop(n: int = 4000, seed: int = 0, missing: float = 0.1) -> pd.DataFrame:
    """Customers, with what they spend ("little", "some" or "much") in column ``spends``."""
    rng = np.random.default_rng(seed)
    country = rng.integers(0, 5, n)
    region = 3 * country + rng.integers(0, 3, n)
    city = 4 * region + (rng.random(n) ** 2 * 4).astype(int)
    kind = rng.integers(0, 6, n)
    product = 25 * kind + (rng.random(n) ** 3 * 25).astype(int)
    joined = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 3 * 365, n), "D")
    last = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300 * 24 * 60, n), "min")
    income, age, visits = rng.lognormal(10, 0.6, n), rng.normal(45, 15, n).clip(18, 95), rng.poisson(4, n)
    member, words = rng.random(n) < 0.4, rng.integers(0, len(ADJECTIVES), (n, 2))
    effects = rng.normal(0, 0.5, 5)[country] + rng.normal(0, 0.4, 15)[region] + rng.normal(0, 0.3, 60)[city]
    effects += rng.normal(0, 0.5, 6)[kind] + rng.normal(0, 0.4, 150)[product]
    effects += 0.8 * (np.log(income) - 10) + 0.02 * (age - 45) * np.where(member, 1, -1) + 0.1 * visits
    effects += 0.5 * np.sin(2 * np.pi * last.month.to_numpy() / 12) + 0.5 * (last.day_of_week.to_numpy() > 4)
    effects -= 0.3 * (joined - pd.Timestamp("2021-01-01")).days.to_numpy() / 365 * member
    effects += rng.normal(0, 0.5, n)
    frame = pd.DataFrame(
        {
            "income": income,
            "age": age,
            "visits": visits.astype(float),
            "member": pd.Series(member, dtype="boolean"),
            "country": [f"country {i}" for i in country],
            "region": [f"region {i}" for i in region],
            "city": [f"city {i}" for i in city],
            "kind": pd.Categorical([f"kind {i}" for i in kind]),
            "product": [f"product {i}" for i in product],
            "said": [f"{ADJECTIVES[a]} {ADJECTIVES[b]}" for a, b in words],
            "joined": joined,
            "last": last,
        }
    )
    for name in frame.columns:
        frame.loc[rng.random(n) < missing, name] = None
    cuts = np.quantile(effects, [1 / 3, 2 / 3])
    return frame.assign(spends=np.array(["little", "some", "much"])[np.searchsorted(cuts, effects)])


def frames(name: str) -> tuple[pd.DataFrame, str, Task]:
    """A frame, the column that is to be predicted, and the task."""
    from sklearn import datasets

    if name == "shop":
        return shop(), "spends", "classification"
    load = {
        "breast-cancer": datasets.load_breast_cancer,
        "wine": datasets.load_wine,
        "diabetes": datasets.load_diabetes,
    }
    frame: pd.DataFrame = load[name](as_frame=True).frame
    return frame, "target", "regression" if name == "diabetes" else "classification"


def peers(data: Data, frame: pd.DataFrame, y: pd.Series[Any], rows: tuple[Any, Any], task: Task) -> dict[str, float]:
    """Test scores of scikit-learn's models, fitted on train and validation part.

    Args:
        rows: of the frame, in both of these together and in the test part.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classes = task == "classification"
    boosting = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    linear = LogisticRegression(max_iter=2000) if classes else RidgeCV(np.logspace(-3, 3, 13))
    both = data.with_validation_in_train().train
    x, x_test = both.x.numpy(), data.test.x.numpy()
    found = {}
    for name, model in (("linear", make_pipeline(StandardScaler(), linear)), ("boosting", boosting(random_state=0))):
        found[name] = float(model.fit(x, both.y.numpy()).score(x_test, data.test.y.numpy()))
    own = frame.copy()
    for column in own.columns:
        if pd.api.types.is_datetime64_any_dtype(own[column]):
            own[column] = (own[column] - own[column].min()) / pd.Timedelta("1D")
        elif not pd.api.types.is_numeric_dtype(own[column]):
            own[column] = own[column].astype("category")
        else:
            own[column] = own[column].astype(float)
    fitted = boosting(random_state=0, categorical_features="from_dtype").fit(own.iloc[rows[0]], y.iloc[rows[0]])
    return found | {"boosting, own categories": float(fitted.score(own.iloc[rows[1]], y.iloc[rows[1]]))}


def compare(names: Sequence[str], seconds: float, seeds: Sequence[int]) -> None:
    columns = ("linear", "boosting", "boosting, own categories")
    print("| data | features | score | delivered network | " + " | ".join(columns) + " | parameters | candidates |")
    print("|---|---|---|" + "---|" * (len(columns) + 3))
    for name in names:
        frame, target, task = frames(name)
        score = "accuracy" if task == "classification" else "r2"
        y, inputs = frame[target], frame.drop(columns=target)
        for seed in seeds:
            data = load_data((frame, target), seed=seed, task=task, name=name)
            at = load_data((np.arange(len(frame))[:, None], y), seed=seed, task=task, kind="table")
            whole = at.with_validation_in_train().train.x[:, 0].numpy().astype(int)
            beside = peers(data, inputs, y, (whole, at.test.x[:, 0].numpy().astype(int)), task)
            found = searchkit.run(
                data=data, objectives=(score, "params"), budget={"seconds": seconds}, seed=seed, device="cpu",
                name=f"frames-{name}-{seed}-{time.time_ns()}", storage="memory", progress=False,
            )  # fmt: skip
            best = found.front.iloc[0]
            told = " | ".join(f"{beside[column]:.3f}" for column in columns)
            print(
                f"| {name}, seed {seed} | {data.input_shape[0]} | {score} | {best[f'test_{score}']:.3f} | {told} | "
                f"{best.params:,.0f} | {len(found.trials)} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--seconds", type=float, default=60, help="of a search")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of splits and searches")
    given = parser.parse_args()
    logging.getLogger("searchkit").setLevel(logging.WARNING)
    print(describe(), "\n")
    compare(given.sets, given.seconds, given.seeds)


if __name__ == "__main__":
    main()
