"""``python -m localcluster``: the command line."""

import sys

from localcluster.cli import main

sys.exit(main())
