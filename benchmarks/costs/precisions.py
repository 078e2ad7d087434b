"""The precision of each block of a trained network, chosen exactly: what each choice loses, takes and needs.

    python -m benchmarks.costs.precisions [--data cifar-12000] [--seconds 120] [--networks 5]

The most accurate network of a search is taken as it is. What a block loses in int8 is what the log loss on the
validation part rises with that block alone in int8, and what it takes is from a latency table with both precisions. The
front of the two sums, over all choices of precisions, is exact; networks along it are written, scored on the test part
and timed in turn with the network in float32 and all of it in int8.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import searchkit
from benchmarks.common.machine import describe
from benchmarks.hour.__main__ import DATA
from searchkit import NetworkSpace
from searchkit.blocks.additive import Additive, Blocks
from searchkit.blocks.exact import front
from searchkit.blocks.latency_tables import measure_latency
from searchkit.costs.int8_file import CALIBRATIONS, write_mixed
from searchkit.costs.onnx_session import file_runner
from searchkit.costs.together import fastest_together
from searchkit.data.data import Data
from searchkit.training.answer_scores import examples_of
from searchkit.training.int8_scores import CALIBRATED, file_score
from searchkit.types import Codes, Floats

OUT = 1e6  # of a block that is not the network's own


def written(space: NetworkSpace, code: Codes, data: Data, path: Path) -> Path:
    """The file of the network in the precisions of a candidate."""
    write_mixed(space.build(code).eval(), path, examples_of(data.train, CALIBRATED), CALIBRATIONS[0])
    return path


def lost(space: NetworkSpace, blocks: Blocks, data: Data, folder: Path) -> Additive:
    """What the log loss rises with each block in int8; blocks that are not the network's own are left out."""
    nothing = np.zeros(space.n_choices, dtype=np.int64)

    def log_loss(code: Codes) -> float:
        return file_score(written(space, code, data, folder / "one.onnx"), data.val, data, "log_loss")

    base, tables = log_loss(nothing), list[Floats]()
    for columns, alternatives in zip(blocks.columns, blocks.alternatives, strict=True):
        table = np.full(len(alternatives), OUT)
        for i, row in enumerate(alternatives):
            precision = [space.names[j].endswith(".precision") for j in columns]
            if not row[~np.array(precision)].any():  # the network's own block
                code = nothing.copy()
                code[list(columns)] = row
                table[i] = max(log_loss(code) - base, 0.0) if row.any() else 0.0
        tables.append(table)
    return Additive(base, tuple(tables))


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="cifar-12000")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--networks", type=int, default=5)
    given = parser.parse_args()
    print(describe(), end="\n\n")
    source, limit = DATA[given.data]
    data = searchkit.load_data(source, limit=limit)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = searchkit.run(data=data, budget={"seconds": given.seconds}, storage=folder, progress=False)
        space = NetworkSpace.from_model(result.build(0), data.train.x[:32].float()).with_precisions()
        table = measure_latency(space, held_out=30)
        print(table.report(), end="\n\n")
        blocks, loss = table.blocks, lost(space, table.blocks, data, folder)
        picked, values = front([loss, table.model])
        picked, values = picked[values[:, 0] < OUT], values[values[:, 0] < OUT]
        chosen = blocks.codes(picked[np.unique(np.linspace(0, len(picked) - 1, given.networks).astype(int))])
        ends = np.zeros((2, space.n_choices), dtype=np.int64)
        ends[1, [i for i, one in enumerate(space.names) if one.endswith(".precision")]] = 1
        codes = np.concatenate([ends, chosen])
        files = [written(space, code, data, folder / f"{i}.onnx") for i, code in enumerate(codes)]
        times = fastest_together([file_runner(file, examples_of(data.test, 1)) for file in files], 1.0)
        predicted = table.model(blocks.choose(codes))
        print(f"{len(picked)} networks on the exact front of {2 ** int(ends[1].sum())} choices of precisions.\n")
        print("| blocks in int8 | log loss, expected | log loss | accuracy, test part | ms, expected | ms | kB |")
        print("|---|---|---|---|---|---|---|")
        for i, (file, code) in enumerate(zip(files, codes, strict=True)):
            print(
                f"| {int((code * ends[1]).sum())} of {int(ends[1].sum())} "
                f"| {loss(blocks.choose(code[None]))[0]:.4f} | {file_score(file, data.val, data, 'log_loss'):.4f} "
                f"| {100 * file_score(file, data.test, data, 'accuracy'):.2f} % "
                f"| {predicted[i]:.3f} | {times[i]:.3f} | {file.stat().st_size / 1000:.0f} |"
            )


if __name__ == "__main__":
    main()
