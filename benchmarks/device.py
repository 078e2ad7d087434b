"""What the device decides, all of it: each part is a script of its own, run in a process of its own.

python -m benchmarks.device [--parts bounds,blocks,new-device,int8,precisions]
"""

from __future__ import annotations

import argparse
import subprocess
import sys

PARTS = {
    "bounds": ["benchmarks.costs.bounds_held"],
    "blocks": ["benchmarks.blocks", "--parts", "latency"],
    "new-device": ["benchmarks.costs.new_device"],
    "int8": ["benchmarks.costs.int8"],
    "precisions": ["benchmarks.costs.precisions"],
}


def main() -> None:
    """Run the parts, one after the other, and end with the number of those that failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS))
    asked = parser.parse_args().parts.split(",")
    unknown = [name for name in asked if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}: choose from {', '.join(PARTS)}")
    failed = 0
    for name in asked:
        print(f"# {name}\n", flush=True)
        failed += subprocess.run([sys.executable, "-m", *PARTS[name]], check=False).returncode != 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
