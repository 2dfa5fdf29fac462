"""``python -m cmsa``: the command line."""

import sys

from cmsa.cli.main import main

sys.exit(main())
