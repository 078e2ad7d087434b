"""The same search in one process after the other, in a program of its own that imports what they need once."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

# begins a program that ends with ``forked(search, most)``
BEGINNING = """
import os, sys, traceback
import searchkit.api
def forked(search, most, until=None):
    for _ in range(most):
        child = os.fork()
        if not child:
            try:
                search()
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            sys.stdout.flush()
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print("ended", ended, flush=True)
        if ended == until:
            break
def load_training():
    import torch
    import searchkit.search.network_setup
    from searchkit.costs.counts import count
    layer = torch.nn.Linear(1, 1)
    count(layer, (1,))
    torch.optim.SGD(layer.parameters(), lr=0.1)
"""


@dataclass
class Ran:
    """What became of a program.

    Attributes:
        ends: exit code of each of its processes, minus the number of the signal that ended it.
        lines: what they printed.
        said: what they wrote to standard error.
    """

    ends: list[int]
    lines: list[str]
    said: str


def ran(program: str, *arguments: str) -> Ran:
    """Run a program that begins with :data:`BEGINNING`."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, *arguments], capture_output=True, text=True,
        timeout=500, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    lines = ended.stdout.splitlines()
    ends = [int(line.split()[1]) for line in lines if line.startswith("ended ")]
    return Ran(ends, [line for line in lines if not line.startswith("ended ")], ended.stderr)
