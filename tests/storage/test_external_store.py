"""Loading a store by its class name, proved with one that lives on a real Redis server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import BlockPutError, ConfigurationError
from storage.block_id import RDDBlockId
from storage.block_store import BlockStore
from storage.external_store import load_external_store
from storage.storage_level import StorageLevel
from tests.storage.redis_server import redis_server
from tests.storage.store_conformance import CHECKS, Check, put_values, values_of

REDIS_STORE = "tests.storage.redis_store.RedisStore"


@pytest.fixture(scope="module")
def redis_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("r")) as socket:
        yield socket


@pytest.fixture
def store(redis_socket: str) -> Iterator[BlockStore]:
    store = load_external_store(REDIS_STORE, {"socket": redis_socket, "prefix": "test:"})
    yield store
    store.check()
    store.clear()
    store.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_store_on_redis_conforms(check: Check, store: BlockStore) -> None:
    check(store, StorageLevel.OFF_HEAP)


def test_blocks_on_redis_are_seen_by_another_store_of_that_prefix_alone(store: BlockStore, redis_socket: str) -> None:
    put_values(store, RDDBlockId(1, 2), [1], StorageLevel.OFF_HEAP)
    same: Any = load_external_store(REDIS_STORE, {"socket": redis_socket, "prefix": "test:"})
    other: Any = load_external_store(REDIS_STORE, {"socket": redis_socket, "prefix": "other:"})
    assert values_of(same, RDDBlockId(1, 2)) == [1]
    assert not other.contains(RDDBlockId(1, 2))
    same.close()
    other.close()


def test_a_server_that_is_away_is_a_failed_put(tmp_path: Path) -> None:
    pytest.importorskip("redis", reason="the Python package redis is not installed")
    store: Any = load_external_store(REDIS_STORE, {"socket": str(tmp_path / "none"), "prefix": ""})
    with pytest.raises(BlockPutError, match="rdd_1_2"):
        store.put_iterator(RDDBlockId(1, 2), iter([1]), StorageLevel.OFF_HEAP)
    store.close()


# --- class names that lead nowhere ---------------------------------------------------------------------------------


@pytest.fixture
def stores_to_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd_stores.py").write_text(
        "from storage.block_store import BlockStore\n"
        "class Incomplete(BlockStore):\n    def remove(self, block_id): return False\n"
        "def a_function(): pass\n"
    )
    (tmp_path / "failing_stores.py").write_text("raise RuntimeError('no licence found')\n")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize(
    ("class_name", "problem"),
    [
        ("RedisStore", "package.module.Class"),
        ("", "package.module.Class"),
        (".RedisStore", "package.module.Class"),
        ("stores.", "package.module.Class"),
        ("no_such_package.RedisStore", "no_such_package"),
        ("odd_stores.Missing", "has no Missing"),
        ("odd_stores.a_function", "not a BlockStore"),
        ("odd_stores.Incomplete", "does not define clear, contains, get_bytes"),
        ("collections.OrderedDict", "not a BlockStore"),
        ("failing_stores.Store", "no licence found"),
    ],
)
@pytest.mark.usefixtures("stores_to_import")
def test_a_class_that_is_no_store_is_an_error_that_says_why(class_name: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as caught:
        load_external_store(class_name, {})
    assert "localcluster.externalBlockStore.class" in str(caught.value)


def test_what_the_constructor_raises_passes(redis_socket: str) -> None:
    with pytest.raises(KeyError, match="prefix"):
        load_external_store(REDIS_STORE, {"socket": redis_socket})
