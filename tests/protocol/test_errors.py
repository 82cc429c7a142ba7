"""Errors that are of two kinds, and travel."""

from __future__ import annotations

import pickle

from protocol.errors import BlockMasterStoppedError, ContextError, StorageError


def test_a_context_that_stops_meanwhile_is_one_that_is_stopped() -> None:
    error = pickle.loads(pickle.dumps(BlockMasterStoppedError("the block master has stopped")))
    assert isinstance(error, ContextError)
    assert isinstance(error, StorageError)
    assert str(error) == "the block master has stopped"
