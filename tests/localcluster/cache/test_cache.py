"""`Cache` as programs use it: a mapping, one that computes, and what it does where there is no server or no room."""

from __future__ import annotations

import datetime
import errno
import functools
import gc
import itertools
import logging
import os
import pickle
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from localcluster import Cache
from localcluster.cache import cache as cache_module
from localcluster.cache import entry_file
from localcluster.cache.home import CacheHome, Tier
from localcluster.cache.keys import block_id_of, digest_of
from localcluster.cache.server import CacheServer
from protocol import cache_messages as m
from protocol.errors import CacheError, CacheKeyError, DeserializationError, SerializationError
from storage import os_layer
from tests.localcluster.cache.conftest import Serving
from tests.support import DEADLINE, InThread, fails, wait_until

Serve = Callable[..., Serving]


@pytest.fixture
def cache(serving: Serving) -> Cache:
    return serving.cache()


@pytest.fixture
def without_a_server(home: CacheHome, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """Nobody answers, and none can be started."""
    cache = Cache("x", directory=home.directory)
    monkeypatch.setattr(cache._client, "_start", fails(errno.EAGAIN))
    return cache


# --- a mapping -------------------------------------------------------------------------------------------------------


def test_it_is_a_mapping(cache: Cache) -> None:
    assert len(cache) == 0
    assert "a" not in cache
    with pytest.raises(KeyError, match="a"):
        cache["a"]
    with pytest.raises(KeyError, match="a"):
        del cache["a"]
    cache["a"] = [1]
    cache["a", 2] = {"b": 2}
    cache.update({"c": None})
    assert (cache["a"], cache["a", 2], cache.get("c", 5), cache.get("d", 5)) == ([1], {"b": 2}, None, 5)
    assert set(cache) == {"a", ("a", 2), "c"}
    assert len(cache) == 3
    assert "a" in cache
    assert cache.setdefault("a", 9) == [1]
    assert cache.setdefault("e", 9) == 9
    assert cache.pop("c") is None
    assert dict(cache) == {"a": [1], ("a", 2): {"b": 2}, "e": 9}
    cache["a"] = 3
    assert cache["a"] == 3
    del cache["a"]
    assert "a" not in cache
    cache.clear()
    assert len(cache) == 0


def test_what_a_program_does_to_a_value_is_its_own_affair(cache: Cache) -> None:
    value = {"list": [1], "array": np.zeros(100_000)}
    cache["a"] = value
    value["list"].append(2)  # type: ignore[attr-defined]
    found = cache["a"]
    assert found["list"] == [1]
    found["list"].append(3)
    found["array"][:] = 7
    assert cache["a"]["list"] == [1]
    assert cache["a"]["array"].sum() == 0
    assert cache.get_or_compute("a", dict)["array"].sum() == 0


def test_in_mode_r_arrays_are_read_only(serving: Serving) -> None:
    cache = serving.cache(mode="r")
    for size in (3, 5_000, 100_000, 300_000):
        cache["a"] = np.zeros(size)
        assert not cache["a"].flags.writeable


def test_in_mode_r_who_computes_gets_what_the_others_get(serving: Serving) -> None:
    cache = serving.cache(mode="r")
    for size in (3, 300_000):
        compute = functools.partial(np.zeros, size)
        assert [cache.get_or_compute(f"{size}", compute).flags.writeable for _ in range(2)] == [False] * 2
        records = cache.get_or_compute_records(f"{size} and more", functools.partial(map, np.zeros, [size]))
        assert not next(records).flags.writeable
    zeros = cache.memoize(np.zeros)
    assert [zeros(10).flags.writeable for _ in range(2)] == [False] * 2
    assert not zeros.call(10).flags.writeable


def test_in_mode_r_what_cannot_be_kept_is_read_only_too(serve: Callable[..., Serving]) -> None:
    cache = serve(memory=0, disk=0).cache(mode="r")
    found = cache.get_or_compute("a", lambda: {"x": np.zeros(300_000)[::2]})
    assert "a" not in cache
    assert not found["x"].flags.writeable
    assert not next(cache.get_or_compute_records("b", lambda: iter([np.zeros(300_000)]))).flags.writeable


def test_namespaces_are_apart(serving: Serving) -> None:
    a, b = serving.cache("a"), serving.cache("b")
    a["key"], b["key"] = 1, 2
    a.clear()
    assert ("key" in a, b["key"]) == (False, 2)


def test_another_program_sees_what_this_one_stores(serving: Serving) -> None:
    a, b = serving.cache(), serving.cache()
    a["key"] = 1
    assert b["key"] == 1
    b["key"] = 2
    assert a["key"] == 2
    del a["key"]
    assert "key" not in b


@pytest.mark.parametrize("namespace", ["", ".hidden", "a/b", "..", "a" * 101, "ä", None, 5])
def test_what_is_no_namespace_is_refused(namespace: Any, home: CacheHome) -> None:
    with pytest.raises(CacheKeyError, match="a namespace"):
        Cache(namespace, directory=home.directory)


def test_arguments_that_cannot_be_meant_are_refused(home: CacheHome) -> None:
    for wrong in ({"mode": "w"}, {"max_memory": -1}, {"idle_timeout": 0}):
        with pytest.raises(CacheError):
            Cache(directory=home.directory, **wrong)  # type: ignore[arg-type]


def test_a_directory_may_be_below_the_user_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Cache(directory="~/a").directory == f"{tmp_path}/a"
    assert Cache(directory=Path("~/b")).directory == f"{tmp_path}/b"


def test_numpy_s_scalars_and_dates_are_parts_of_keys(cache: Cache) -> None:
    day = datetime.date(2024, 2, 29)
    cache["a", np.int64(3), day] = 1
    assert (cache["a", 3, day], list(cache)) == (1, [("a", 3, day)])
    assert [type(part) for part in next(iter(cache))] == [str, int, datetime.date]


def test_a_directory_of_others_is_refused_at_once(home: CacheHome) -> None:
    home.make()
    os.chmod(home.directory, 0o755)
    with pytest.raises(CacheError, match="mode 755"):
        Cache(directory=home.directory)


def test_what_is_no_key_is_refused_everywhere(cache: Cache) -> None:
    no_key: Any = ["a"]
    calls: list[Callable[[], object]] = [
        lambda: cache[no_key],
        lambda: cache.put(no_key, 1),
        lambda: no_key in cache,
        lambda: cache.get(no_key),
        lambda: cache.pop(no_key, None),
        lambda: cache.get_or_compute(no_key, int),
        lambda: cache.pin(no_key),
    ]
    for call in calls:
        with pytest.raises(CacheKeyError):
            call()


def test_it_pickles_as_where_it_leads(serving: Serving) -> None:
    cache = serving.cache(mode="r", max_memory=5)
    cache["a"] = 1
    other = pickle.loads(pickle.dumps(cache))
    assert (other.namespace, other.directory, other.mode, other._options) == (
        cache.namespace,
        cache.directory,
        "r",
        cache._options,
    )
    assert other["a"] == 1
    other.close()


def test_a_time_to_live(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put("a", 1, ttl=datetime.timedelta(seconds=1000))
    cache.put("b", 1)
    assert sorted(cache) == ["a", "b"]
    later = entry_file.time.time() + 2000
    monkeypatch.setattr(entry_file.time, "time", lambda: later)
    assert list(cache) == ["b"]
    assert "a" not in cache
    assert cache.get("a") is None
    assert cache.get_or_compute("a", lambda: 2, ttl=1000) == 2
    assert cache["a"] == 2
    calls: list[Callable[[], object]] = [
        lambda: cache.put("a", 1, ttl=-5),
        lambda: cache.put("a", 1, ttl="1h"),  # type: ignore[arg-type]
        lambda: cache.put("a", 1, ttl=datetime.timedelta()),
        lambda: cache.memoize(ttl="1h"),  # type: ignore[arg-type]
        lambda: cache.get_or_compute("c", int, ttl=-5),
        lambda: cache.get_or_compute_records("c", list, ttl=-5),
    ]
    for call in calls:
        with pytest.raises(CacheError, match="ttl"):
            call()


def test_pinned_entries_stay_and_others_make_room(serve: Serve) -> None:
    cache = serve(memory=3 * 4096, disk=0).cache()
    cache.put("pinned", 1, pin=True)
    cache["later"] = 1
    cache.pin("later")
    for number in range(5):
        cache[f"{number}"] = number
    assert set(cache) == {"pinned", "later", "4"}
    cache.pin("4")
    with pytest.raises(CacheError, match="no room"):
        cache["5"] = 5
    cache.pin("pinned", False)
    cache["5"] = 5
    assert set(cache) == {"later", "4", "5"}
    with pytest.raises(KeyError):
        cache.pin("pinned")


def test_a_pinned_entry_can_be_replaced_and_removed(cache: Cache) -> None:
    cache.put("a", 1, pin=True)
    cache.put("a", 2)
    assert cache["a"] == 2
    cache.pin("a")
    del cache["a"]
    assert "a" not in cache


def test_statistics(cache: Cache) -> None:
    assert cache.get("a") is None
    cache.get_or_compute("a", lambda: 1)
    cache.get_or_compute("a", lambda: 1)
    assert cache["a"] == 1
    statistics = cache.statistics()
    assert (statistics.hits, statistics.misses, statistics.computed, statistics.kept) == (2, 2, 1, 1)
    cache["b"] = 1
    assert (statistics.kept, cache.statistics().kept) == (1, 2), "what was told stays as it was"


# --- one computes ----------------------------------------------------------------------------------------------------


def test_what_is_missing_is_computed_once(serving: Serving) -> None:
    computed = itertools.count()
    caches = [serving.cache() for _ in range(6)]
    ready = threading.Barrier(6)

    def ask(cache: Cache) -> int:
        ready.wait(DEADLINE)
        return cache.get_or_compute("a", lambda: 100 + next(computed))

    assert {each.outcome() for each in [InThread(lambda c=c: ask(c)) for c in caches]} == {100}  # type: ignore[misc]


def test_a_value_that_comes_between_two_looks_is_not_computed_again(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there when the question comes to the server, whatever the asker saw."""
    cache, other = serving.cache(), serving.cache()
    ask = cache._client.ask

    def after_the_other(*question: Any, **how: Any) -> Any:
        if isinstance(question[0], m.ClaimEntry) and "a" not in other:
            other["a"] = "theirs"
        return ask(*question, **how)

    monkeypatch.setattr(cache._client, "ask", after_the_other)
    assert cache.get_or_compute("a", lambda: "mine") == "theirs"


def test_what_the_function_raises_is_raised_and_the_next_one_computes(serving: Serving) -> None:
    first, second = serving.cache(), serving.cache()
    begun, go_on = threading.Event(), threading.Event()

    def fail() -> int:
        begun.set()
        assert go_on.wait(DEADLINE)
        raise ZeroDivisionError

    failing = InThread(lambda: first.get_or_compute("a", fail))
    assert begun.wait(DEADLINE)
    waiting = InThread(lambda: second.get_or_compute("a", lambda: 2))
    wait_until(lambda: serving.server._claims.waiting)
    go_on.set()
    assert isinstance(failing.outcome(), ZeroDivisionError)
    assert waiting.outcome() == 2
    assert len(serving.server._claims) == 0


def test_who_is_interrupted_while_it_waits_is_not_waited_for(serving: Serving) -> None:
    """As by a Ctrl-C in a notebook, whose process lives on."""
    first, second, third = (serving.cache() for _ in range(3))
    begun, go_on = threading.Event(), threading.Event()

    def compute() -> int:
        begun.set()
        assert go_on.wait(DEADLINE)
        raise ZeroDivisionError

    computing = InThread(lambda: first.get_or_compute("a", compute))
    assert begun.wait(DEADLINE)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGUSR1, interrupt)
    main = threading.main_thread().ident
    assert main is not None
    killer = InThread(
        lambda: (wait_until(lambda: serving.server._claims.waiting), signal.pthread_kill(main, signal.SIGUSR1))
    )
    try:
        with pytest.raises(KeyboardInterrupt):
            second.get_or_compute("a", lambda: 2)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    killer.outcome()
    wait_until(lambda: not serving.server._claims.waiting)
    go_on.set()
    assert isinstance(computing.outcome(), ZeroDivisionError)
    assert third.get_or_compute("a", lambda: 3) == 3
    assert second.get_or_compute("a", lambda: 2) == 3
    serving.server.check()


def test_a_function_that_asks_for_itself_and_two_that_ask_for_each_other_come_to_an_end(serving: Serving) -> None:
    cache = serving.cache()
    assert cache.get_or_compute("a", lambda: cache.get_or_compute("a", lambda: 1) + 1) == 2
    one, two = serving.cache(), serving.cache()
    both = threading.Barrier(2)

    def first() -> int:
        both.wait(DEADLINE)
        return one.get_or_compute("second", lambda: 5) + 1

    def second() -> int:
        both.wait(DEADLINE)
        return two.get_or_compute("first", lambda: 5) + 1

    threads = [
        InThread(lambda: one.get_or_compute("first", first)),
        InThread(lambda: two.get_or_compute("second", second)),
    ]
    assert sorted(each.outcome() for each in threads) == [6, 7]
    assert len(serving.server._claims) == 0


def test_a_claim_that_others_hold_for_long_is_asked_for_again(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "PATIENCE", 0.01)
    first, second = serving.cache(), serving.cache()
    questions = 0
    ask = second._client.ask

    def counting(*question: Any, **how: Any) -> Any:
        nonlocal questions
        questions += 1
        return ask(*question, **how)

    monkeypatch.setattr(second._client, "ask", counting)
    go_on = threading.Event()
    computing = InThread(lambda: first.get_or_compute("a", lambda: go_on.wait(DEADLINE)))
    wait_until(lambda: len(serving.server._claims))
    waiting = InThread(lambda: second.get_or_compute("a", lambda: 5))
    wait_until(lambda: questions > 3)
    go_on.set()
    assert computing.outcome() is True
    assert waiting.outcome() is True


class OnlyThere:
    """Cannot be read while `broken`."""

    broken = False

    def __setstate__(self, state: object) -> None:
        if OnlyThere.broken:
            raise RuntimeError("not here")

    def __getstate__(self) -> object:
        return 1


def test_a_value_that_cannot_be_read_here_is_computed_again(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache["a"] = OnlyThere()
    monkeypatch.setattr(OnlyThere, "broken", True)
    with pytest.raises(DeserializationError):
        cache["a"]
    assert cache.get_or_compute("a", lambda: 5) == 5
    assert cache["a"] == 5
    assert len([record for record in caplog.records if "computed again" in record.message]) == 1


def test_a_damaged_entry_is_computed_again(cache: Cache, home: CacheHome) -> None:
    for value in (1, np.zeros(100_000)):
        cache["a"] = value
        path = home.path(Tier.MEMORY, block_id_of("x", "a"))
        os.truncate(path, os.path.getsize(path) - 1)
        assert cache.get("a") is None
        cache["a"] = value
        os.truncate(path, os.path.getsize(path) - 1)
        assert cache.get_or_compute("a", lambda: "new") == "new"
        assert cache["a"] == "new"


def test_an_entry_of_another_version_is_computed_again(cache: Cache, home: CacheHome) -> None:
    cache["a"] = 1
    path = Path(home.path(Tier.MEMORY, block_id_of("x", "a")))
    path.write_bytes(b"LCENTRY0" + path.read_bytes()[8:])
    assert cache.get_or_compute("a", lambda: 2) == 2
    assert cache["a"] == 2


def test_what_cannot_be_pickled_is_an_error_and_nobody_is_kept_waiting(serving: Serving) -> None:
    cache = serving.cache()
    with pytest.raises(SerializationError, match="lock"):
        cache.get_or_compute("a", threading.Lock)
    wait_until(lambda: not len(serving.server._claims))
    with pytest.raises(SerializationError, match="lock"):
        cache["a"] = threading.Lock()


def test_an_error_of_a_cache_inside_the_function_is_the_function_s(serving: Serving) -> None:
    cache = serving.cache()

    def compute() -> int:
        raise CacheError("of another cache")

    with pytest.raises(CacheError, match="of another cache"):
        cache.get_or_compute("a", compute)
    wait_until(lambda: not len(serving.server._claims))


def test_records_are_read_as_an_iterator_computed_or_not(cache: Cache) -> None:
    records = [1, "a", np.zeros(50_000)]
    for expected_computed in (1, 1):
        found = cache.get_or_compute_records("a", lambda: iter(records))
        one, two, array = found
        assert (one, two, array.sum(), array.flags.writeable) == (1, "a", 0, True)
        array += 1
        assert cache.statistics().computed == expected_computed


# --- no server, no room ----------------------------------------------------------------------------------------------


def test_without_a_server_values_are_computed_with_one_warning_and_a_put_raises(
    without_a_server: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    cache = without_a_server
    for number in range(3):
        assert cache.get_or_compute("a", lambda n=number: n) == number  # type: ignore[misc]
    assert list(cache.get_or_compute_records("b", lambda: iter([1, 2]))) == [1, 2]
    assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == 1
    with pytest.raises(CacheError, match="server"):
        cache["a"] = 1
    assert "a" not in cache


def test_without_a_server_what_is_there_is_read_and_removed(without_a_server: Cache, home: CacheHome) -> None:
    home.make()
    for tier, name in ((Tier.MEMORY, "a"), (Tier.DISK, "b"), (Tier.DISK, "c"), (Tier.MEMORY, "c")):
        home.make_namespace(tier, "x")
        path = home.path(tier, block_id_of("x", name))
        entry_file.write(path, entry_file.content(name, name.upper()))
    cache = without_a_server
    assert dict(cache) == {"a": "A", "b": "B", "c": "C"}
    del cache["c"]
    assert "c" not in cache
    cache.pin("a")
    cache.clear()
    assert len(cache) == 0


def test_what_finds_no_room_is_returned_all_the_same(serve: Serve) -> None:
    serving = serve(memory=4096, disk=4096)
    cache = serving.cache()
    array = np.zeros(10_000)
    assert cache.get_or_compute("a", lambda: array) is array
    assert list(cache.get_or_compute_records("b", lambda: iter([b"." * 9000]))) == [b"." * 9000]
    assert len(cache) == 0
    wait_until(lambda: not len(serving.server._claims))
    with pytest.raises(CacheError, match="no room"):
        cache["a"] = array


def test_what_finds_no_room_is_a_warning_once_for_each_key_or_function(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    cache = serve(memory=4096, disk=8192).cache()

    @cache.memoize
    def large(number: int) -> bytes:
        return b"." * 20_000

    for number in range(3):
        cache.get_or_compute(("key", 1), lambda: b"." * 20_000)
        large(number)
    of_key, of_function = [each.message for each in caplog.records if each.levelno == logging.WARNING]
    assert "the value of ('key', 1) of x: computed, and not kept" in of_key
    assert f"{large.__module__}.{large.__qualname__}: computed" in of_function
    for message in (of_key, of_function):
        assert "no room for 19." in message
        assert "4.0 KiB of memory and 8.0 KiB of the disk, which is less" in message
        assert "max_disk" in message


@pytest.mark.parametrize("value", [1, b"." * 100_000], ids=["small", "large"])
@pytest.mark.parametrize("full", [("/dev/shm",), ("/dev/shm", "/")], ids=["memory", "both"])
def test_full_shared_memory_sends_entries_to_the_disk_and_a_full_disk_is_an_error(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, full: tuple[str, ...], value: object
) -> None:
    cache = serving.cache()
    write = os.write

    def refuse(fd: int, data: bytes) -> int:
        path = os.readlink(f"/proc/self/fd/{fd}")
        if "/aside/" in path and path.startswith(full):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(os_layer, "write", refuse)
    if "/" not in full:
        cache["a"] = value
        assert cache["a"] == value
        assert os.path.exists(serving.home.path(Tier.DISK, block_id_of("x", "a")))
    else:
        with pytest.raises(CacheError, match=r"No space left|no room"):
            cache["a"] = value
        assert cache.get_or_compute("a", lambda: value) == value
        assert "a" not in cache
    wait_until(lambda: not any(serving.server._intake.reserved().values()))
    serving.server.check()
    assert [os_layer.names_in(serving.home.aside(tier)) for tier in Tier] == [[], []]


def test_a_put_that_an_error_ends_leaves_nothing(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = serving.cache()

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for module, name in ((entry_file, "write"), (CacheServer, "none")):
        with monkeypatch.context() as patch:
            if name == "write":
                patch.setattr(module, name, interrupted)
            else:
                ask = cache._client.ask

                def ask_and_be_interrupted(*question: Any, ask: Any = ask) -> None:
                    ask(*question)
                    raise KeyboardInterrupt

                patch.setattr(cache._client, "ask", ask_and_be_interrupted)
            with pytest.raises(KeyboardInterrupt):
                cache["a"] = b"." * 100_000
        wait_until(lambda: not any(serving.server._intake.reserved().values()))
    assert serving.server._index.used == dict.fromkeys(Tier, 0)


def test_a_put_that_is_interrupted_before_the_file_is_the_entry_gives_its_room_back(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = serving.cache()
    ask = cache._client.ask

    def interrupted(message: Any, *how: Any) -> Any:
        if isinstance(message, m.CommitEntry):
            raise KeyboardInterrupt
        return ask(message, *how)

    monkeypatch.setattr(cache._client, "ask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache["a"] = b"." * 100_000
    wait_until(lambda: not any(serving.server._intake.reserved().values()))
    assert [os_layer.names_in(serving.home.aside(tier)) for tier in Tier] == [[], []]


def test_a_put_during_which_the_server_changes_is_made_again(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = serving.cache()
    write = entry_file.write

    def write_and_lose_the_connection(*arguments: Any, **how: Any) -> None:
        write(*arguments, **how)
        monkeypatch.setattr(entry_file, "write", write)
        cache._client.close()

    monkeypatch.setattr(entry_file, "write", write_and_lose_the_connection)
    cache["a"] = b"." * 100_000
    assert len(cache["a"]) == 100_000


def test_mapped_values_outlive_the_cache_and_its_server(serve: Serve) -> None:
    serving = serve()
    cache = serving.cache()
    cache["a"] = np.arange(100_000)
    array = cache["a"]
    del cache["a"]
    serving.stop()
    assert array.sum() == sum(range(100_000))
    del array
    gc.collect()


def test_a_memory_tier_that_is_full_of_mapped_values_sends_new_ones_to_the_disk(serve: Serve) -> None:
    serving = serve(memory=500_000)
    cache = serving.cache()
    arrays = []
    for number in range(4):
        cache[f"{number}"] = np.full(20_000, number)
        arrays.append(cache[f"{number}"])
    assert [array.sum() for array in arrays] == [0, 20_000, 40_000, 60_000]
    on_disk = [os.path.exists(serving.home.path(Tier.DISK, block_id_of("x", f"{n}"))) for n in range(4)]
    assert on_disk == [False, False, False, True]
    del arrays
    gc.collect()


def test_threads_share_a_cache(cache: Cache) -> None:
    def work(seed: int) -> int:
        for number in range(30):
            key = f"{(number * seed) % 7}"
            assert cache.get_or_compute(key, lambda key=key: key * 3) == key * 3  # type: ignore[misc]
            cache[key] = key * 3
            assert cache.get(key) in (None, key * 3)
            cache.pop(key, None)
        return seed

    threads = [InThread(lambda seed=seed: work(seed)) for seed in range(1, 7)]  # type: ignore[misc]
    assert [thread.outcome() for thread in threads] == list(range(1, 7))


def test_to_close_one_object_is_no_end_for_others(serving: Serving) -> None:
    caches = [Cache("x", directory=serving.home.directory) for _ in range(2)]
    begun, go_on = threading.Event(), threading.Event()

    def compute() -> bool:
        begun.set()
        return go_on.wait(DEADLINE)

    computing = InThread(lambda: caches[0].get_or_compute("a", compute))
    assert begun.wait(DEADLINE)
    caches[1]["b"] = 1
    caches[1].close()
    assert len(serving.server._claims) == 1
    go_on.set()
    assert computing.outcome() is True
    assert caches[0]["a"] is True
    caches[1]["b"] = 2
    for cache in caches:
        cache.close()
    wait_until(lambda: not serving.server._programs)


@pytest.fixture
def many(home: CacheHome) -> int:
    """Entries that lie on the disk before a server starts."""
    home.make()
    home.make_namespace(Tier.DISK, "x")
    for number in range(3000):
        path = os.path.join(home.entries(Tier.DISK), "x", digest_of(f"{number}"))
        entry_file.write(path, entry_file.content(f"{number}", number))
    return 3000


def test_many_keys(many: int, serve: Serve) -> None:
    cache = serve().cache()
    assert len(cache) == many
    assert set(cache) == {f"{number}" for number in range(many)}
    assert cache["77"] == 77
    cache.clear()
    assert len(cache) == 0
