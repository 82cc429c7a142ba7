"""The order in which blocks go, against a list that is searched anew for each question."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storage.block_id import BlockId, BroadcastBlockId, RDDBlockId
from storage.lru_blocks import LruBlocks

BLOCKS: list[BlockId] = [RDDBlockId(rdd, split) for rdd in range(3) for split in range(3)]
BLOCKS += [BroadcastBlockId(number) for number in range(3)]

steps = st.lists(st.tuples(st.sampled_from(["enter", "use", "look", "remove"]), st.sampled_from(BLOCKS)), max_size=60)


@given(steps=steps, wanted=st.sampled_from(BLOCKS))
def test_blocks_go_in_the_order_of_their_last_use_and_none_for_its_own_rdd(
    steps: list[tuple[str, BlockId]], wanted: BlockId
) -> None:
    blocks: LruBlocks[int] = LruBlocks()
    uses: list[tuple[BlockId, int]] = []  # all there were, of the blocks that are here
    for number, (step, block_id) in enumerate(steps):
        here = [kept for other, kept in uses if other == block_id]
        if step == "enter" and not here:
            blocks[block_id] = number
            uses.append((block_id, number))
        elif step == "use":
            assert blocks.use(block_id) == (here[-1] if here else None)
            uses += [(block_id, here[-1])] if here else []
        elif step == "look":
            assert blocks.get(block_id) == (here[-1] if here else None)
        elif step == "remove":
            assert blocks.pop(block_id, None) == (here[-1] if here else None)
            uses = [use for use in uses if use[0] != block_id]
    last_uses = [use for at, use in enumerate(uses) if use[0] not in [later[0] for later in uses[at + 1 :]]]
    expected = []
    for other, kept in last_uses:
        of_one_rdd = isinstance(other, RDDBlockId) and isinstance(wanted, RDDBlockId) and other.rdd_id == wanted.rdd_id
        if not of_one_rdd:
            expected.append((other, kept))
    assert list(blocks.may_go_for(wanted)) == expected
