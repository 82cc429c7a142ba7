"""The caches that `caches.py` compares: how to start or find one, to put a value into it, and to get one out.

Each is the way its own documentation shows for values that outlive the process that made them. Imports are inside: an
engine that is not used need not be installed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sessions


class Engine(ABC):
    """A cache in a directory. ``put`` and ``get`` take a key, a text."""

    needs: tuple[str, ...] = ()

    @abstractmethod
    def __init__(self, directory: Path, size: int) -> None:
        """``size``: bytes of the largest value, for caches whose room is set when they start."""

    @abstractmethod
    def put(self, key: str, value: Any) -> None: ...

    @abstractmethod
    def get(self, key: str) -> Any: ...

    @classmethod
    def clean(cls, directory: Path) -> None:
        """After the last process of a run, failed or not: end what was started."""
        for session in directory.glob("*.session"):
            sessions.end(int(session.read_text()))


def serve(directory: Path, name: str, command: list[str], ready: Callable[[], bool]) -> None:
    """Start a server that outlives this process, unless the one that wrote has; wait until it is ready."""
    noted, log = directory / f"{name}.session", directory / f"{name}.log"
    if noted.exists():
        return
    server = sessions.start(command, log)
    noted.write_text(str(server.pid))
    while not ready():
        if server.poll() is not None:
            raise RuntimeError(f"{name} has ended: {log.read_text()}")
        time.sleep(0.01)


def written(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


class Localcluster(Engine):
    needs = ("localcluster",)

    def __init__(self, directory: Path, size: int) -> None:
        from localcluster import Cache

        self._cache = Cache("bench", directory=directory)
        self.put, self.get = self._cache.__setitem__, self._cache.__getitem__  # type: ignore[method-assign]

    def put(self, key: str, value: Any) -> None:
        raise NotImplementedError

    def get(self, key: str) -> Any:
        raise NotImplementedError

    @classmethod
    def clean(cls, directory: Path) -> None:
        command = [sys.executable, "-m", "localcluster", "cache", "stop", "--directory", str(directory)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Joblib(Engine):
    needs = ("joblib",)
    mmap_mode: str | None = None

    def __init__(self, directory: Path, size: int) -> None:
        from joblib import Memory

        self._given: Any = None
        self._function = Memory(directory, mmap_mode=self.mmap_mode, verbose=0).cache(self._make, ignore=["self"])

    def _make(self, key: str) -> Any:
        return self._given

    def put(self, key: str, value: Any) -> None:
        self._given = value
        self._function(key)

    def get(self, key: str) -> Any:
        return self._function(key)


class JoblibMapped(Joblib):
    mmap_mode = "r"


class Diskcache(Engine):
    needs = ("diskcache",)

    def __init__(self, directory: Path, size: int) -> None:
        import diskcache

        self._cache = diskcache.Cache(str(directory), size_limit=1 << 40)

    def put(self, key: str, value: Any) -> None:
        self._cache[key] = value

    def get(self, key: str) -> Any:
        return self._cache[key]


class Redis(Engine):
    needs = ("redis",)

    def __init__(self, directory: Path, size: int) -> None:
        import pickle

        import redis

        def answers() -> bool:
            with contextlib.suppress(redis.ConnectionError):
                return bool(self._client.ping())
            return False

        self._pickle = pickle
        socket = str(directory / "redis.sock")
        self._client = redis.Redis(unix_socket_path=socket)
        options = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", str(directory)]
        serve(directory, "redis", ["redis-server", *options], answers)

    def put(self, key: str, value: Any) -> None:
        self._client.set(key, self._pickle.dumps(value, protocol=5))

    def get(self, key: str) -> Any:
        return self._pickle.loads(self._client.get(key))  # type: ignore[arg-type]


class Keeper:
    """A detached actor that outlives who made it. It owns the large objects: one dies with its owner."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    def put(self, key: str, value: Any) -> None:
        self._kept[key] = value

    def put_object(self, key: str, value: Any) -> None:
        import ray

        self._kept[key] = ray.put(value)

    def get(self, key: str) -> Any:
        return self._kept[key]


class Ray(Engine):
    needs = ("ray",)

    def __init__(self, directory: Path, size: int) -> None:
        import ray

        address = directory / "ray_current_cluster"
        store = str(4 * size + (256 << 20))  # the value as it is sent, and as it is kept
        options = ["--head", "--block", "--port", "0", "--num-cpus", "2"]
        options += ["--temp-dir", str(directory), "--object-store-memory", store]
        options += ["--include-dashboard", "false", "--disable-usage-stats"]
        serve(
            directory, "ray", [sys.executable, "-m", "ray.scripts.scripts", "start", *options], lambda: written(address)
        )
        ray.init(address.read_text().strip(), namespace="bench", log_to_driver=False, logging_level="ERROR")
        actor = ray.remote(Keeper).options(name="keeper", lifetime="detached", get_if_exists=True, num_cpus=0)
        self._keeper, self._ray = actor.remote(), ray

    def put(self, key: str, value: Any) -> None:
        keep = self._keeper.put_object if hasattr(value, "nbytes") else self._keeper.put
        self._ray.get(keep.remote(key, value))

    def get(self, key: str) -> Any:
        found = self._ray.get(self._keeper.get.remote(key))
        return self._ray.get(found) if isinstance(found, self._ray.ObjectRef) else found


class Dask(Engine):
    needs = ("dask", "distributed")

    def __init__(self, directory: Path, size: int) -> None:
        from dask.distributed import Client, Future

        file = directory / "scheduler.json"
        dask = [sys.executable, "-m", "dask"]
        options = ["--scheduler-file", str(file), "--host", "127.0.0.1", "--no-dashboard"]
        serve(directory, "scheduler", [*dask, "scheduler", "--port", "0", *options], lambda: written(file))
        local = ["--nthreads", "1", "--no-nanny", "--memory-limit", "0", "--local-directory", str(directory)]
        serve(directory, "worker", [*dask, "worker", *options, *local], lambda: True)
        self._client = Client(scheduler_file=str(file), direct_to_workers=True)
        self._client.wait_for_workers(1, timeout=60)
        self._future = Future

    def put(self, key: str, value: Any) -> None:
        kept = self._client.scatter(value, hash=False) if hasattr(value, "nbytes") else value
        self._client.publish_dataset(kept, name=key)

    def get(self, key: str) -> Any:
        found = self._client.get_dataset(key)
        return found.result() if isinstance(found, self._future) else found


ENGINES: dict[str, type[Engine]] = {
    "localcluster": Localcluster,
    "joblib": Joblib,
    "joblib-r": JoblibMapped,
    "diskcache": Diskcache,
    "redis": Redis,
    "ray": Ray,
    "dask": Dask,
}


def installed(engine: str) -> bool:
    return all(importlib.util.find_spec(name) for name in ENGINES[engine].needs) and (
        engine != "redis" or shutil.which("redis-server") is not None
    )
