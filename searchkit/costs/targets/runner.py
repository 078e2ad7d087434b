"""Times the network that comes on standard input in ONNX Runtime, on one thread, and prints JSON.

searchkit sends this file to a target over ssh. It needs Python 3.8, numpy and onnxruntime there, and nothing else of
searchkit. As in :mod:`searchkit.costs.latency`, runs are timed in blocks, of each block the fastest run counts, and a
block counts only if a small fixed computation was at full speed before and after it.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable

SECONDS = 0.5  # of timing, up to three times as many on a processor that is not at full speed
BLOCK_SECONDS = 0.005
BLOCK_RUNS = 8  # at least; the first ones run with a cold cache
REFERENCE_SECONDS = 0.0005
FULL_SPEED = 1.07  # a reference up to this many times slower than its best counts as full speed
ENOUGH = 5  # blocks at full speed, with which the measurement may end
PATIENCE = 3.0


def block(run: Callable[[], object], seconds: float) -> float:
    """Milliseconds of the fastest of several consecutive runs."""
    fastest, n, end = float("inf"), 0, time.perf_counter() + seconds
    while n < BLOCK_RUNS or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        fastest = min(fastest, 1e3 * (time.perf_counter() - start))
        n += 1
    return fastest


def timed(run: Callable[[], object], reference: Callable[[], object]) -> tuple[list[float], bool]:
    """Milliseconds of the blocks that count, and whether these were at full speed."""
    best = min(block(reference, REFERENCE_SECONDS) for _ in range(100))
    for _ in range(3):
        run()
    times, looks, begun = [], [block(reference, REFERENCE_SECONDS)], time.perf_counter()
    while True:
        times.append(block(run, BLOCK_SECONDS))
        looks.append(block(reference, REFERENCE_SECONDS))
        best = min(best, looks[-1])
        good = [ms for i, ms in enumerate(times) if max(looks[i], looks[i + 1]) < FULL_SPEED * best]
        elapsed = time.perf_counter() - begun
        if elapsed >= SECONDS and (len(good) >= ENOUGH or elapsed >= PATIENCE * SECONDS):
            return (good, True) if len(good) > 1 else (times, False)


def measured(network: bytes) -> dict[str, object]:
    """The latency of a network on one example, its relative spread, and the versions; or an error in words."""
    try:
        import numpy as np
        import onnxruntime
    except ImportError as error:
        return {"error": f"its {sys.executable} lacks {error.name}: install numpy and onnxruntime there"}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        random = np.random.RandomState(0)
        feed = {
            given.name: random.standard_normal([n if isinstance(n, int) else 1 for n in given.shape]).astype("float32")
            for given in session.get_inputs()
        }
        session.run(None, feed)
    except Exception as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return {"error": f"its onnxruntime {onnxruntime.__version__} cannot run the network: {said}"}
    matrix = np.ones((48, 48), dtype="float32")
    times, full = timed(lambda: session.run(None, feed), lambda: matrix @ matrix)
    low, middle, high = (float(one) for one in np.quantile(times, [0.25, 0.5, 0.75]))
    return {
        "latency_ms": middle,
        "latency_ms_spread": (high - low) / middle,
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "speed": "full" if full else "of a busy core",
    }


if __name__ == "__main__":
    print(json.dumps(measured(sys.stdin.buffer.read())))
