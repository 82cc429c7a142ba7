"""Progress bars: one per running stage, on a terminal; silence otherwise."""

from __future__ import annotations

import sys
import threading
from typing import Any, NamedTuple

from localcluster.driver.cluster import Cluster

INTERVAL = 0.2  # seconds between looks
PATIENCE = 0.5  # seconds that a stage runs before it gets a bar: short ones would only flicker


class StageProgress(NamedTuple):
    """A running stage at one moment; counts of tasks."""

    stage_id: int
    attempt: int
    name: str
    tasks: int
    unfinished: int
    running: int


class ProgressBars:
    """Looks at the running stages from a thread of its own, so that jobs do not pay for it."""

    def __init__(self, cluster: Cluster, *, enabled: bool) -> None:
        self._cluster = cluster
        self._bars: dict[tuple[int, int], Any] = {}  # {(stage id, attempt): bar}
        self._seen: dict[tuple[int, int], int] = {}  # {(stage id, attempt): looks at which it ran}
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        if enabled and sys.stderr is not None and sys.stderr.isatty():
            self._thread = threading.Thread(target=self._run, name="localcluster-progress", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def _run(self) -> None:
        while not self._done.wait(INTERVAL):
            self._look()
        self._finish(set())

    def _look(self) -> None:
        from tqdm import tqdm  # only on a terminal: loading it takes longer than starting an executor

        running = set()
        for stage in self._running_stages():
            key = stage.stage_id, stage.attempt
            running.add(key)
            self._seen[key] = self._seen.get(key, 0) + 1
            if key not in self._bars and self._seen[key] * INTERVAL >= PATIENCE:
                label = f"stage {stage.stage_id} {stage.name}"
                self._bars[key] = tqdm(total=stage.tasks, desc=label, unit="task", file=sys.stderr, leave=False)
            if key in self._bars:
                bar = self._bars[key]
                bar.n = stage.tasks - stage.unfinished
                bar.set_postfix_str(f"{stage.running} running")
        self._finish(running)

    def _running_stages(self) -> list[StageProgress]:
        with self._cluster.lock:
            return [
                StageProgress(
                    stage.id, stage.attempt, stage.name, len(stage.partitions), tasks.unfinished, len(tasks.running)
                )
                for stage, tasks in self._cluster.dag.running_stages.items()
            ]

    def _finish(self, running: set[tuple[int, int]]) -> None:
        for key in set(self._seen) - running:
            del self._seen[key]
            bar = self._bars.pop(key, None)
            if bar is not None:
                bar.close()
