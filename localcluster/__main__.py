"""``python -m localcluster``: the command line."""

import sys

from localcluster.hash_seed import fix_hash_seed
from localcluster.launcher.interrupts import end_at_once

if sys.argv[1:2] == ["run"]:
    end_at_once()
    fix_hash_seed()  # before anything is loaded that would have to be loaded again

from localcluster.cli import main

sys.exit(main())
