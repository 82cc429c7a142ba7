from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import AskTimeoutError, BlockPutError
from protocol.locations import BlockManagerId
from storage.replication import order_peers, replicate

PEERS = [BlockManagerId(f"executor{number}", number) for number in range(5)]


@given(st.text(min_size=1), st.permutations(PEERS))
def test_the_order_depends_on_the_block_and_not_on_how_the_peers_are_listed(
    name: str, listed: list[BlockManagerId]
) -> None:
    assert order_peers(name, listed) == order_peers(name, PEERS)
    assert sorted(order_peers(name, listed), key=PEERS.index) == PEERS


def test_different_blocks_choose_different_peers() -> None:
    assert len({order_peers(f"rdd_0_{split}", PEERS)[0] for split in range(50)}) == len(PEERS)


def everybody(peers: Sequence[BlockManagerId]) -> Sequence[BlockManagerId]:
    return peers


@given(st.text(min_size=1), st.integers(1, 4))
def test_more_copies_extend_the_choice_of_fewer(name: str, copies: int) -> None:
    fewer = replicate(name, copies, PEERS, everybody)
    assert len(fewer) == copies
    assert replicate(name, copies + 1, PEERS, everybody)[:copies] == fewer


@pytest.mark.parametrize("failure", [None, BlockPutError("full"), AskTimeoutError("late")])
def test_a_peer_that_fails_is_replaced_by_the_next(failure: Exception | None) -> None:
    first, second, *_ = order_peers("rdd_0_0", PEERS)

    def upload(peers: Sequence[BlockManagerId]) -> Sequence[BlockManagerId]:
        if first in peers and failure is not None:
            raise failure
        return [peer for peer in peers if peer != first]

    assert replicate("rdd_0_0", 1, PEERS, upload) == [second]


def test_only_those_that_failed_are_replaced() -> None:
    order = order_peers("rdd_0_0", PEERS)
    asked: list[Sequence[BlockManagerId]] = []

    def upload(peers: Sequence[BlockManagerId]) -> Sequence[BlockManagerId]:
        asked.append(peers)
        return [peer for peer in peers if peer != order[0]]

    assert replicate("rdd_0_0", 2, PEERS, upload) == [order[1], order[2]]
    assert asked == [order[:2], order[2:3]]


def test_two_failures_end_the_attempt(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[Sequence[BlockManagerId]] = []

    def upload(peers: Sequence[BlockManagerId]) -> Sequence[BlockManagerId]:
        asked.append(peers)
        return []

    assert replicate("rdd_0_0", 1, PEERS, upload) == []
    assert len(asked) == 2
    assert "0 of 1 extra copies" in caplog.text


def test_too_few_peers_give_as_many_copies_as_there_are(caplog: pytest.LogCaptureFixture) -> None:
    assert len(replicate("rdd_0_0", 4, PEERS[:2], everybody)) == 2
    assert "2 of 4 extra copies" in caplog.text


def test_an_unexpected_error_propagates() -> None:
    def upload(peers: Sequence[BlockManagerId]) -> Sequence[BlockManagerId]:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        replicate("rdd_0_0", 1, PEERS, upload)
