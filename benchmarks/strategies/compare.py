"""searchkit's strategies and their peers on the same problems, with the same budgets and seeds.

    python -m benchmarks.strategies.compare run --problems nb201,nb201-raspi4 --methods all --seeds 30 [--part 1/2]
    python -m benchmarks.strategies.compare report [--problems all] [--plots docs/plots]
    python -m benchmarks.strategies.compare speed [--methods bo,tpe,nsga2,optuna-tpe,ax]

``run`` keeps every finished search in ``$SEARCHKIT_CACHE/compare`` (``~/.cache/searchkit-benchmarks/compare``) and
makes what is missing there, so that a stopped one goes on, and several may run beside each other (``--part 1/2`` and
``--part 2/2``). Results of searchkit's strategies are kept by a digest of its sources, those of peers by the peer's
version.

Peers are optional: a method whose package is missing is skipped, with its install line. They need not share an
environment, since all environments share the cache. SMAC 2.4 does not work with the scikit-learn of constraints.txt::

    python3 -m venv peers && grep -v ^scikit-learn constraints.txt > peers.txt && echo scikit-learn==1.7.2 >> peers.txt
    peers/bin/pip install torch==2.13.0
    peers/bin/pip install -c peers.txt -e '.[peers]'
    peers/bin/python -m benchmarks.strategies.compare run --methods peers --problems all

Every method gets option indices, as categories or, where a choice is ordered, as integers, and proposes one candidate
after another (searchkit's in the batches of ``searchkit.run``). A repeated candidate counts as an evaluation. Time is
what passes outside evaluations; a process has one thread. Memory is the process's peak, imports included.
"""

from __future__ import annotations

import argparse
import sys

from searchkit.errors import SearchkitError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="make the runs that the cache lacks")
    run.add_argument("--problems", default="all", help="names with commas between them")
    run.add_argument("--methods", default="all", help="names with commas between them; all, searchkit, peers")
    run.add_argument("--seeds", type=int, default=30, help="how many")
    run.add_argument("--first-seed", type=int, default=0)
    run.add_argument("--budget", type=int, help="evaluations; each problem's own where not given")
    run.add_argument("--part", default="1/1", help="i/n: every n-th seed, from the i-th")
    run.add_argument("--limit", type=float, default=1800, help="seconds for one search; what it has by then is kept")
    run.add_argument("--retry", action="store_true", help="run again what ended in an error")

    work = commands.add_parser("work", help="one block of seeds of one method; run starts these")
    for name in ("--problem", "--method", "--seeds", "--key"):
        work.add_argument(name, required=True)
    work.add_argument("--budget", type=int, required=True)
    work.add_argument("--limit", type=float, required=True)

    report = commands.add_parser("report", help="tables, in markdown, and plots of what the cache has")
    report.add_argument("--problems", default="all")
    report.add_argument("--methods", default="all")
    report.add_argument("--budget", type=int, help="evaluations of the runs; each problem's own where not given")
    report.add_argument("--seeds", type=int, help="only the first so many")
    report.add_argument("--plots", help="folder for the plots; none are made where it is not given")

    speed = commands.add_parser("speed", help="seconds per suggestion, and per candidate of NSGA-II")
    speed.add_argument("--methods", default="bo,tpe,nsga2,optuna-tpe,ax", help="what suggestions are timed of")
    speed.add_argument("--repeats", type=int, default=3)
    speed.add_argument("--evaluations", type=int, default=10_000, help="of NSGA-II; 0 leaves it out")

    given = parser.parse_args()
    try:
        if given.command == "run":
            from benchmarks.strategies.comparing.working import run_all

            run_all(given)
        elif given.command == "work":
            from benchmarks.strategies.comparing.working import work as work_on

            work_on(given)
        elif given.command == "report":
            from benchmarks.strategies.comparing.report import report as write

            write(given)
        else:
            from benchmarks.strategies.comparing.speed import speed as measure

            measure(given)
    except SearchkitError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
