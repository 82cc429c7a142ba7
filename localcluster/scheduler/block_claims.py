"""Which task computes which missing cached block, and which tasks are kept back until it is there.

Within a process the first writer of a block puts it and the others wait (`storage.block_info`). Between processes the
scheduler sees to it that a cached partition is computed by one task at a time: at its launch a task claims the blocks
that it would compute, and a task that would compute one of them, too, is parked. It holds no core meanwhile, so nothing
can wait in a circle.

A claim ends when the block is reported, or with its task, however that ends. Who was parked is tried again then, and
claims the block if it is still missing. A task that succeeded and left no block (there was no room, or it never came
to it) is followed by any number at once: who waited for it does not wait for this block again. All tasks of a barrier
stage run at once: they claim what they can, and are never parked. Plain state; where blocks are is not known here.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from localcluster.scheduler.task_set import TaskSet
from storage.block_id import BlockId


class BlockClaims:
    def __init__(self) -> None:
        self._claims: dict[BlockId, int] = {}  # {block: id of the task that computes it}
        self._claimed: dict[int, tuple[TaskSet, Sequence[BlockId]]] = {}  # {task id: its set, what it computes}
        self._heirs: dict[BlockId, list[int]] = {}  # {claimed block: others that compute it: copies, tasks of barriers}
        self._parked: dict[BlockId, list[tuple[TaskSet, int]]] = {}  # {claimed block: positions that wait for it}

    def park(self, task_set: TaskSet, position: int, blocks: Sequence[BlockId]) -> bool:
        """Keep a position back if a running task computes one of these blocks. Whether it does."""
        for block_id in blocks:
            if block_id in self._claims and block_id not in task_set.in_vain:
                task_set.park(position)
                self._parked.setdefault(block_id, []).append((task_set, position))
                return True
        return False

    def claim(self, task_id: int, task_set: TaskSet, blocks: Sequence[BlockId]) -> None:
        """A task is launched that computes what is missing of these blocks. What is claimed stays with its task, and is
        this one's when that one ends without it.
        """
        for block_id in blocks:
            if self._claims.setdefault(block_id, task_id) != task_id:
                self._heirs.setdefault(block_id, []).append(task_id)
        self._claimed[task_id] = task_set, blocks

    def release(self, task_id: int, succeeded: bool = False) -> None:
        """A task has ended, or is about to: it was killed."""
        task_set, blocks = self._claimed.pop(task_id, (None, ()))
        for block_id in blocks:
            heirs = self._heirs.get(block_id, [])
            if task_id in heirs:
                heirs.remove(task_id)
            elif self._claims.get(block_id) == task_id and heirs and not succeeded:
                self._claims[block_id] = heirs.pop(0)
            elif self._claims.get(block_id) == task_id:
                waiting = self._unpark(block_id)
                if succeeded and task_set is not None:
                    for concerned in [task_set, *(waiter for waiter, _ in waiting)]:
                        concerned.in_vain.add(block_id)

    def stored(self, block_id: BlockId) -> bool:
        """A block was reported. Whether that lets a task go on."""
        return block_id in self._claims and bool(self._unpark(block_id))

    def _unpark(self, block_id: BlockId) -> list[tuple[TaskSet, int]]:
        del self._claims[block_id]
        self._heirs.pop(block_id, None)
        waiting = self._parked.pop(block_id, [])
        for task_set, position in reversed(waiting):  # each goes to the front
            task_set.unpark(position)
        return waiting

    def check(self, running: Container[int]) -> None:
        """Audit the invariants, given the ids of the tasks at executors. Raises AssertionError."""
        for block_id, task_id in self._claims.items():
            assert task_id in running, f"{block_id} is claimed by a task that is nowhere"
            assert block_id in self._claimed[task_id][1], f"{block_id} is claimed by a task that does not know"
        for block_id, heirs in self._heirs.items():
            assert block_id in self._claims, f"{block_id} has heirs and no owner"
            assert all(heir in running for heir in heirs), f"{block_id} would be claimed by a task that is nowhere"
        assert self._parked.keys() <= self._claims.keys(), "tasks wait for a block that nobody computes"
