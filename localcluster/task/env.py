"""What every process of a cluster has, driver and executors alike: its block manager, its shuffle side, its settings.

Follows Spark's ``SparkEnv``. One per process while a context runs; tasks reach it through their `TaskContext`. Building
one is `make_env`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocol.errors import ContextError

if TYPE_CHECKING:
    from localcluster.conf.settings import Settings
    from localcluster.shuffle.manager import ShuffleManager
    from storage.block_manager import BlockManager


@dataclass
class Env:
    executor_id: str
    settings: Settings
    block_manager: BlockManager
    shuffle_manager: ShuffleManager
    files_directory: str  # of the run, the same in all processes: see `localcluster.api.files`


_env: Env | None = None


def set_env(env: Env | None) -> Env | None:
    """Returns the one before."""
    global _env
    before, _env = _env, env
    return before


def get_env() -> Env:
    """Raises ContextError when no context runs in this process."""
    if _env is None:
        raise ContextError("no localcluster context runs in this process")
    return _env
