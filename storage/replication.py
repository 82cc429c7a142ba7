"""Which peers get the copies of a block, and what happens when one of them fails.

Covers the policy alone (Spark's ``RandomBlockReplicationPolicy`` and the retry loop of its ``BlockManager.replicate``).
Does not cover how a copy travels: the caller's `upload` does that.
"""

from __future__ import annotations

import logging
import random
import zlib
from collections.abc import Callable, Sequence

from protocol.errors import ChannelError, StorageError
from protocol.locations import BlockManagerId

log = logging.getLogger(__name__)

MAX_FAILURES = 1
"""Peers that may fail before the rest of the copies is given up: ``spark.storage.maxReplicationFailures``."""


def order_peers(block_name: str, peers: Sequence[BlockManagerId]) -> list[BlockManagerId]:
    """The peers in a random order that only block and peers decide.

    Seeded by the block: two puts of the same block choose the same peers, a higher replication extends a lower one's
    choice, and different blocks spread over different peers. crc32, since `hash` of a str differs between processes.
    """
    ordered = sorted(peers, key=lambda peer: (peer.executor_id, peer.pid))
    random.Random(zlib.crc32(block_name.encode())).shuffle(ordered)
    return ordered


def replicate(
    block_name: str,
    copies: int,
    peers: Sequence[BlockManagerId],
    upload: Callable[[Sequence[BlockManagerId]], Sequence[BlockManagerId]],
) -> list[BlockManagerId]:
    """Put `copies` copies on different peers; those that took one.

    `upload` tries several peers at once and returns those that stored the block; when it raises a StorageError or
    ChannelError, none did. Peers that failed are replaced by the next ones, until more than MAX_FAILURES have failed
    or no peer is left. Too few copies is a warning, never an error, as in Spark: the block is stored. Every other
    exception of `upload` propagates.
    """
    waiting = order_peers(block_name, peers)
    placed: list[BlockManagerId] = []
    failures = 0
    while waiting and len(placed) < copies and failures <= MAX_FAILURES:
        missing = copies - len(placed)
        chosen, waiting = waiting[:missing], waiting[missing:]
        stored = _try_upload(block_name, chosen, upload)
        placed += stored
        failures += len(chosen) - len(stored)
    if len(placed) < copies:
        log.warning(
            "block %s has %d of %d extra copies (%d peers, %d failed)",
            block_name,
            len(placed),
            copies,
            len(peers),
            failures,
        )
    return placed


def _try_upload(
    block_name: str,
    peers: Sequence[BlockManagerId],
    upload: Callable[[Sequence[BlockManagerId]], Sequence[BlockManagerId]],
) -> Sequence[BlockManagerId]:
    try:
        return upload(peers)
    except (StorageError, ChannelError) as error:
        names = ", ".join(peer.executor_id for peer in peers)
        log.warning("no copy of block %s on %s: %s", block_name, names, error)
        return []
