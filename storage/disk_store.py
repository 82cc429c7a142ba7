"""The store on disk: one file for each block, complete or not there.

Covers `BlockStore` on files and where they are. Follows Spark's ``DiskStore``. Which file a block gets is decided by
`disk_block_manager`, and when the files go at the end of a run by `scratch`.

A block is written aside and then renamed, so a file that carries a block's name is whole. Blocks stream: what is being
written is never held in memory beyond one batch of the serializer.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

from protocol.errors import BlockNotFoundError, BlockPutError, StorageError
from protocol.forks import free_in_forks
from protocol.locations import FileLocation
from storage import os_layer
from storage.block_id import BlockId
from storage.block_store import BlockStore, BytesLike, PutResult
from storage.disk_block_manager import DiskBlockManager
from storage.managed_buffer import FileSegmentBuffer, ManagedBuffer
from storage.serializer import serialize_stream
from storage.storage_level import StorageLevel

log = logging.getLogger(__name__)

Sink = Callable[[BytesLike], None]

FIRST_BATCH = 1  # records; later batches follow the size measured, but 128 first ones may be 128 large arrays


class DiskStore(BlockStore):
    """Blocks in files.

    Knows only the blocks that it wrote itself, not those that a dead process left under the same owner.
    """

    def __init__(self, disk_block_manager: DiskBlockManager) -> None:
        self._files = disk_block_manager
        # Guards the next two; held to open, rename or unlink, never to write.
        self._lock = free_in_forks(threading.Lock())
        self._sizes: dict[BlockId, int] = {}  # {block: bytes}
        self._being_put: set[BlockId] = set()

    def put_bytes(self, block_id: BlockId, data: ManagedBuffer, level: StorageLevel) -> PutResult:
        return self._put(block_id, lambda sink: sink(data.memoryview()))

    def put_iterator(self, block_id: BlockId, values: Iterator[Any], level: StorageLevel) -> PutResult:
        """As in `BlockStore`. Everything fits: a disk that is full is a BlockPutError."""
        return self._put(block_id, lambda sink: serialize_stream(values, sink, FIRST_BATCH))

    def get_size(self, block_id: BlockId) -> int:
        try:
            return self._sizes[block_id]
        except KeyError:
            raise BlockNotFoundError(f"block {block_id} is not on disk") from None

    def get_bytes(self, block_id: BlockId) -> ManagedBuffer | None:
        """The block's bytes, mapped; None when the block is not here.

        The buffer stays good when the block is removed. Raises StaleLocationError when the file was lost or cut short.
        """
        with self._lock:  # the file that is opened is the one whose size is in the books
            size = self._sizes.get(block_id)
            return None if size is None else FileSegmentBuffer(self._files.get_file(block_id), 0, size)

    def location(self, block_id: BlockId) -> FileLocation | None:
        size = self._sizes.get(block_id)
        return None if size is None else FileLocation(self._files.get_file(block_id), 0, size)

    def remove(self, block_id: BlockId) -> bool:
        """As in `BlockStore`. Raises StorageError when the file cannot be removed; the block then stays."""
        with self._lock:
            if block_id not in self._sizes:
                return False
            path = self._files.get_file(block_id)
            try:
                os_layer.unlink(path)
            except OSError as error:
                raise StorageError(f"cannot remove block {block_id}: {error}") from error
            del self._sizes[block_id]
            return True

    def contains(self, block_id: BlockId) -> bool:
        return block_id in self._sizes

    def clear(self) -> None:
        """As in `BlockStore`. What cannot be removed stays; it goes with the run's directory."""
        for block_id in list(self._sizes):
            try:
                self.remove(block_id)
            except StorageError as error:
                log.warning("%s", error)

    def check(self) -> None:
        with self._lock:
            for block_id, size in self._sizes.items():
                path = self._files.get_file(block_id)
                assert os.path.exists(path), f"block {block_id} is in the books, but {path} does not exist"
                found = os.path.getsize(path)
                assert found == size, f"block {block_id} has {size} bytes in the books and {found} in {path}"

    def _put(self, block_id: BlockId, produce: Callable[[Sink], object]) -> PutResult:
        """Store what `produce` hands to its sink. Whatever is raised, no file is left."""
        with self._claimed(block_id):
            with self._as_put_error(block_id):
                path = self._files.get_file(block_id)
                aside = self._files.get_aside_file(block_id)
                fd = os_layer.create(aside)
            try:
                size = self._write(block_id, path, fd, produce)
                with self._lock, self._as_put_error(block_id, path):
                    os_layer.rename(aside, path)
                    self._sizes[block_id] = size
            except BaseException:
                with self._as_put_error(block_id, path):
                    os_layer.unlink(aside)
                raise
        return PutResult(stored=True, size=size)

    def _write(self, block_id: BlockId, path: str, fd: int, produce: Callable[[Sink], object]) -> int:
        size = 0

        def sink(data: BytesLike) -> None:
            nonlocal size
            # Only here, around the write itself: an OSError that the values' iterator raises is the user's own.
            with self._as_put_error(block_id, path):
                size += os_layer.write_all(fd, data)

        try:
            produce(sink)
        finally:
            with self._as_put_error(block_id, path):  # a file system may report a failed write as late as here
                os_layer.close(fd)
        return size

    @contextlib.contextmanager
    def _claimed(self, block_id: BlockId) -> Iterator[None]:
        """Keep other puts of the block away. Raises BlockPutError when it is here or another thread is putting it."""
        with self._lock:
            if block_id in self._sizes or block_id in self._being_put:
                raise BlockPutError(f"block {block_id} is on disk already, or being written")
            self._being_put.add(block_id)
        try:
            yield
        finally:
            with self._lock:
                self._being_put.discard(block_id)

    @staticmethod
    @contextlib.contextmanager
    def _as_put_error(block_id: BlockId, path: str = "disk") -> Iterator[None]:
        """Name the file: not all of the system's errors do."""
        try:
            yield
        except OSError as error:
            raise BlockPutError(f"cannot write block {block_id} to {path}: {error}") from error
