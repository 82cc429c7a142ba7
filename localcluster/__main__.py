"""``python -m localcluster``: the command line."""

import sys

from localcluster.hash_seed import fix_hash_seed

if sys.argv[1:2] == ["run"]:
    fix_hash_seed()  # before anything is loaded that would have to be loaded again

from localcluster.cli import main

sys.exit(main())
