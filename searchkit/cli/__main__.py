"""``python -m searchkit.cli``."""

import sys

from searchkit.cli.commands import main

sys.exit(main())
