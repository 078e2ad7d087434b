"""``python -m searchkit``: the command line."""

import sys

from searchkit.cli.entry import main

if __name__ == "__main__":
    sys.exit(main())
