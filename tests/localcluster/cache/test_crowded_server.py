"""Many programs at a server with little room, all at once: values are right, and the books are those of the files.

What they do comes from a seed, which of them is first does not. A few hundred operations here, many with ``-m stress``.
"""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from localcluster import Cache
from localcluster.cache.client import NoServer
from localcluster.cache.home import Tier
from localcluster.cache.index import on_disk
from protocol.errors import CacheError
from storage import os_layer
from storage.block_id import CacheBlockId
from tests.localcluster.cache.conftest import Serving
from tests.support import InThread, wait_until

PROGRAMS = 6
KEYS = 12
SIZES = (5, 3000, 60_000)  # numbers of 8 bytes: small, small, mapped
MEMORY, DISK = 1_500_000, 1_800_000  # bytes: some entries of the largest


def value_of(key: str, version: int) -> np.ndarray[Any, Any]:
    return np.full(SIZES[int(key) % len(SIZES)], int(key) * 1000 + version)


def is_right(key: str, value: np.ndarray[Any, Any]) -> bool:
    return len(value) == SIZES[int(key) % len(SIZES)] and value[0] // 1000 == int(key) and (value == value[0]).all()


def program(cache: Cache, seed: int, operations: int) -> int:
    """How often there was no room."""
    rng, held, refused = random.Random(seed), [], 0
    for _ in range(operations):
        key = f"{rng.randrange(KEYS)}"
        version = rng.randrange(1000)
        what = rng.choice(["get", "get", "put", "put", "compute", "compute", "pop", "pin", "list", "clear", "expire"])
        try:
            if what == "get" and (value := cache.get(key)) is not None:
                assert is_right(key, value)
                held.append((key, value))
                value += 0  # its own memory
            elif what == "put":
                cache.put(key, value_of(key, version), pin=rng.random() < 0.1)
            elif what == "expire":
                cache.put(key, value_of(key, version), ttl=rng.uniform(0.001, 0.1))
            elif what == "compute":
                assert is_right(key, cache.get_or_compute(key, lambda k=key, v=version: value_of(k, v)))  # type: ignore[misc]
            elif what == "pop":
                value = cache.pop(key, None)
                assert value is None or is_right(key, value)
            elif what == "pin":
                cache.pin(key, rng.random() < 0.3)
            elif what == "list":
                assert set(cache) <= {f"{number}" for number in range(KEYS)}
            elif what == "clear" and rng.random() < 0.2:
                cache.clear()
        except NoServer:
            raise
        except CacheError:  # no room
            refused += 1
        except KeyError:
            assert what == "pin"
        if len(held) > 3:
            assert all(is_right(*each) for each in held)
            held.clear()
    return refused


def crowd(serve: Callable[..., Serving], operations: int) -> None:
    serving = serve(memory=MEMORY, disk=DISK)
    caches = [serving.cache() for _ in range(PROGRAMS)]
    threads = [InThread(partial(program, cache, seed, operations)) for seed, cache in enumerate(caches)]
    for thread in threads:
        thread.join()  # the limit of the test is the limit
    refused = [thread.outcome() for thread in threads]
    assert sum(refused) < PROGRAMS * operations / 4, refused
    del threads, thread, caches
    gc.collect()
    wait_until(lambda: not any(serving.server._intake.reserved().values()))
    serving.stop()
    index = serving.server._index
    books = {block_id: index.get(block_id) for block_id in index.of_namespace(None)}
    files = {
        (tier, CacheBlockId(folder.name, file.name)): os.stat(file.path).st_size
        for tier in Tier
        for folder in os_layer.scan(serving.home.entries(tier))
        for file in os_layer.scan(folder.path)
    }
    assert files == {(entry.tier, block_id): entry.size for block_id, entry in books.items() if entry is not None}
    assert {tier for tier, _ in files} <= {Tier.DISK}
    assert sum(map(on_disk, files.values())) <= DISK
    assert [os_layer.names_in(serving.home.aside(tier)) for tier in Tier] == [[], []]
    cache = Cache("x", directory=serving.home.directory)
    assert all(is_right(*each) for each in cache.items())


def test_some_operations(serve: Callable[..., Serving]) -> None:
    crowd(serve, 150)


@pytest.mark.stress
@pytest.mark.timeout(1200)
def test_many_operations(serve: Callable[..., Serving]) -> None:
    crowd(serve, 5000)
