"""Which file a block lives in: several roots, hashed sub-directories in each.

Covers names and paths only; `disk_store` reads and writes. Follows Spark's ``DiskBlockManager``, with two differences.
The roots belong to the run (`scratch`), not to the process, since files outlive the executor that wrote them; whoever
owns the scratch space removes them at the end. And each process has a directory of its own in each root, because two
executors may hold a copy of the same block.
"""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
import zlib
from collections.abc import Sequence

from storage import os_layer
from storage.block_id import BlockId, TempLocalBlockId, TempShuffleBlockId

log = logging.getLogger(__name__)

LOCAL_DIRS = ("LOCALCLUSTER_LOCAL_DIRS", "SPARK_LOCAL_DIRS")
SUB_DIRECTORIES = 64  # in each root


def configured_local_dirs(configured: Sequence[str]) -> list[str]:
    """Local directories to use: those in the first variable of `LOCAL_DIRS` that names any, else the configured ones.

    A variable is split at commas and wins, as in Spark. Empty when nothing names a directory.
    """
    for variable in LOCAL_DIRS:
        names = [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]
        if names:
            if configured and list(configured) != names:
                log.warning("%s=%s wins over spark.local.dir", variable, ",".join(names))
            return names
    return list(configured)


class DiskBlockManager:
    """Maps block ids to paths below ``<directory>/<owner>``. Thread-safe; makes directories when they are first needed.

    The mapping depends on the arguments and the block's name alone, so it is the same in every process.
    """

    def __init__(self, directories: Sequence[str], owner: str, sub_directories: int = SUB_DIRECTORIES) -> None:
        self._sub_directories = sub_directories
        self._roots = [os.path.join(directory, owner) for directory in directories]
        self._made: set[str] = set()  # a set's add is atomic, and making a directory twice does no harm

    def get_file(self, block_id: BlockId) -> str:
        """Path of the block's file, which may not exist; its directory does. Raises OSError if that cannot be made."""
        # crc32, because the hash of a str differs between processes
        number, place = divmod(zlib.crc32(block_id.name.encode()), len(self._roots))
        root = self._roots[place]
        directory = os.path.join(root, f"{number % self._sub_directories:02x}")
        if directory not in self._made:
            for path in (root, directory):
                with contextlib.suppress(FileExistsError):
                    os_layer.make_directory(path)
            self._made.add(directory)
        return os.path.join(directory, block_id.name)

    def get_aside_file(self, block_id: BlockId) -> str:
        """A new name beside the block's file, to write to and then rename."""
        return f"{self.get_file(block_id)}.{uuid.uuid4().hex}.aside"

    def create_temp_local_block(self) -> tuple[TempLocalBlockId, str]:
        """A new id and its path, for what a task spills for itself."""
        block_id = TempLocalBlockId(uuid.uuid4())
        return block_id, self.get_file(block_id)

    def create_temp_shuffle_block(self) -> tuple[TempShuffleBlockId, str]:
        """A new id and its path, for shuffle data before it becomes a map output."""
        block_id = TempShuffleBlockId(uuid.uuid4())
        return block_id, self.get_file(block_id)
