"""``python -m rlpyt``: the command line."""

import sys

from rlpyt.cli.main import main

sys.exit(main())
