"""``python -m searchkit.cli``."""

import sys

from searchkit.cli.entry import main

sys.exit(main())
