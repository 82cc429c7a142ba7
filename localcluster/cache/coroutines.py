"""`UnderWay`: memoized functions that run in an event loop.

A store may have to wait for another process, so it is asked in a thread, one for each key that is under way, and what
is to be computed runs in the loop meanwhile. (Threads of a pool would not do: all could wait for a computation that
waits for a thread.) What is there is read without one. Others who await the same key in the same loop wait without
one, too, and then ask for themselves. Who is cancelled cancels the computation, and the next one tries.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

Find = Callable[[str, Callable[[], Any]], Any]


_awaited: contextvars.ContextVar[frozenset[str]] = contextvars.ContextVar("awaited", default=frozenset())
"""The keys whose computations wait for what runs here."""


class UnderWay:
    """The keys that are being asked for, in each loop."""

    def __init__(self) -> None:
        self._keys: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Future[None]] = {}

    async def find(self, key: str, find: Find, function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        if key in _awaited.get():  # by its own computation, which would wait for itself
            return await function()
        place = asyncio.get_running_loop(), key
        while place in self._keys:
            await asyncio.wait([self._keys[place]])
        done = self._keys[place] = place[0].create_future()
        try:
            return await _find_in_thread(key, find, function)
        finally:
            del self._keys[place]
            done.set_result(None)


async def _find_in_thread(key: str, find: Find, function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    loop = asyncio.get_running_loop()
    running: list[Future[Any]] = []
    cancelled = False

    def compute() -> Any:
        if cancelled:
            raise CancelledError
        future = asyncio.run_coroutine_threadsafe(function(), loop)
        running.append(future)
        if cancelled:  # meanwhile, so that nobody else cancels it
            future.cancel()
        return future.result()

    thread = ThreadPoolExecutor(1, "memoized")
    context = contextvars.copy_context()
    context.run(_awaited.set, _awaited.get() | {key})
    try:
        return await loop.run_in_executor(thread, context.run, find, key, compute)
    except asyncio.CancelledError:
        cancelled = True
        for future in running:
            future.cancel()
        raise
    finally:
        thread.shutdown(wait=False)
