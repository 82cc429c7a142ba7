"""The map stages that active jobs may need, and what of their outputs is there.

Jobs that need the same shuffle share the stage that was planned first. Does not start stages (``dag_scheduler``), does
not know where outputs are (``map_output_tracker``).
"""

from __future__ import annotations

from collections.abc import Collection

from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.scheduler.stage import Job, Stage


class MapStages:
    def __init__(self, outputs: MapOutputTracker) -> None:
        self._outputs = outputs
        self._stages: dict[int, Stage] = {}  # {shuffle id: its stage}

    def __getitem__(self, shuffle_id: int) -> Stage:
        return self._stages[shuffle_id]

    def all(self) -> Collection[Stage]:
        return self._stages.values()

    def add(self, job: Job) -> list[Stage]:
        """Make a job one of those that need its map stages. Returns them."""
        stages = [self._stages.setdefault(shuffle_id, planned) for shuffle_id, planned in job.map_stages.items()]
        for stage in stages:
            stage.jobs.add(job)
        return stages

    def remove(self, stage: Stage) -> None:
        """No job needs the stage any more. A result stage is none of these."""
        if stage.shuffle_id is not None:
            del self._stages[stage.shuffle_id]

    def latest(self, stage: Stage) -> Stage:
        """The stage itself, or the one that a later job planned for the same shuffle."""
        return stage if stage.shuffle_id is None else self._stages.get(stage.shuffle_id, stage)

    def missing_parents(self, stage: Stage) -> list[int]:
        """The shuffles of which the stage needs outputs that are not there."""
        for shuffle_id in stage.parent_shuffles:
            self._register(self._stages[shuffle_id], shuffle_id)
        return [shuffle_id for shuffle_id in stage.parent_shuffles if not self._outputs.is_complete(shuffle_id)]

    def open_positions(self, stage: Stage) -> list[int]:
        """What of a stage has to be computed, about to start it."""
        shuffle_id = stage.shuffle_id
        if shuffle_id is None:
            return [position for position in range(len(stage.partitions)) if position not in stage.done]
        if stage.is_barrier and not self._outputs.is_complete(shuffle_id):
            self._outputs.unregister_shuffle(shuffle_id)  # its tasks run all or none
        self._register(stage, shuffle_id)
        return self._outputs.missing(shuffle_id)

    def is_complete(self, stage: Stage) -> bool:
        """Whether it is a map stage whose outputs are all there."""
        return stage.shuffle_id is not None and self._outputs.is_complete(stage.shuffle_id)

    def _register(self, stage: Stage, shuffle_id: int) -> None:
        """Whenever a shuffle is needed, for it may have been cleaned since it was last."""
        self._outputs.register_shuffle(shuffle_id, len(stage.partitions))
