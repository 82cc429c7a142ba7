"""Part of `store_conformance`: any sequence of puts, reads and removals leaves a store with what a dict would hold."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from protocol.errors import BlockPutError
from storage.block_id import BlockId, RDDBlockId
from storage.block_store import BlockStore
from storage.managed_buffer import HeapBuffer
from storage.serializer import serialize
from storage.storage_level import StorageLevel


def any_sequence_of_steps_agrees_with_a_dict(store: BlockStore, level: StorageLevel) -> None:
    class Model(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            store.clear()
            self.model: dict[BlockId, list[Any]] = {}

        @rule(split=st.integers(0, 3), values=st.lists(st.integers() | st.text()), as_bytes=st.booleans())
        def put(self, split: int, values: list[Any], as_bytes: bool) -> None:
            block_id = RDDBlockId(5, split)
            try:
                if as_bytes:
                    store.put_bytes(block_id, HeapBuffer(b"".join(serialize(values))), level)
                else:
                    store.put_iterator(block_id, iter(values), level)
            except BlockPutError:
                assert block_id in self.model
            else:
                assert block_id not in self.model
                self.model[block_id] = values

        @rule(split=st.integers(0, 3))
        def remove(self, split: int) -> None:
            block_id = RDDBlockId(5, split)
            assert store.remove(block_id) is (self.model.pop(block_id, None) is not None)

        @rule(split=st.integers(0, 3))
        def read(self, split: int) -> None:
            values = store.get_values(RDDBlockId(5, split))
            assert (None if values is None else list(values)) == self.model.get(RDDBlockId(5, split))

        @rule()
        def clear(self) -> None:
            store.clear()
            self.model.clear()

        @invariant()
        def same_blocks(self) -> None:
            assert [store.contains(RDDBlockId(5, split)) for split in range(4)] == [
                RDDBlockId(5, split) in self.model for split in range(4)
            ]
            store.check()

    run_state_machine_as_test(Model, settings=settings(max_examples=25, stateful_step_count=20))
