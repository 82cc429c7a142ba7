"""A store of a user's own: blocks live in a Redis server, so they outlive every process of the run.

An example of what `storage.external_store` loads. Options: ``socket``, the path of the server's unix socket, and
``prefix``, which the store's keys start with, so that several stores share a server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import redis

from protocol.errors import BlockNotFoundError, BlockPutError
from storage.block_id import BlockId
from storage.block_store import BlockStore, PutResult
from storage.managed_buffer import HeapBuffer, ManagedBuffer
from storage.serializer import serialize
from storage.storage_level import StorageLevel


class RedisStore(BlockStore):
    """Keeps serialised bytes, whatever the level. Redis' limit of 512 MB for a value is this store's for a block."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._server = redis.Redis(unix_socket_path=options["socket"])
        self._prefix = options["prefix"]

    def put_bytes(self, block_id: BlockId, data: ManagedBuffer, level: StorageLevel) -> PutResult:
        return self._put(block_id, bytes(data.memoryview()))

    def put_iterator(self, block_id: BlockId, values: Iterator[Any], level: StorageLevel) -> PutResult:
        return self._put(block_id, b"".join(serialize(values)))

    def get_size(self, block_id: BlockId) -> int:
        if not self.contains(block_id):
            raise BlockNotFoundError(f"block {block_id} is not in Redis")
        return int(self._server.strlen(self._key(block_id)))

    def get_bytes(self, block_id: BlockId) -> ManagedBuffer | None:
        data = self._server.get(self._key(block_id))
        return None if data is None else HeapBuffer(data)

    def remove(self, block_id: BlockId) -> bool:
        return bool(self._server.delete(self._key(block_id)))

    def contains(self, block_id: BlockId) -> bool:
        return bool(self._server.exists(self._key(block_id)))

    def clear(self) -> None:
        for key in self._server.scan_iter(match=f"{self._prefix}*"):
            self._server.delete(key)

    def close(self) -> None:
        self._server.close()

    def _put(self, block_id: BlockId, data: bytes) -> PutResult:
        try:
            stored = self._server.set(self._key(block_id), data, nx=True)  # one command: of two puts at once, one wins
        except redis.RedisError as error:
            raise BlockPutError(f"cannot put block {block_id} in Redis: {error}") from error
        if not stored:
            raise BlockPutError(f"block {block_id} is in Redis already")
        return PutResult(stored=True, size=len(data))

    def _key(self, block_id: BlockId) -> str:
        return self._prefix + block_id.name
