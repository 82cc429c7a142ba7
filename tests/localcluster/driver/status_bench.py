"""A `Status` over state machines that have no processes."""

from __future__ import annotations

import threading

from localcluster.conf.master_url import Layout
from localcluster.driver.status import Status
from storage.block_manager_master_endpoint import BlockManagerMasterEndpoint
from tests.localcluster.scheduler.harness import FakeDriver


def status_of(driver: FakeDriver, master: BlockManagerMasterEndpoint | None = None) -> Status:
    """Of executors with two cores, of which each task takes one."""
    return Status(threading.RLock(), driver.dag, master or BlockManagerMasterEndpoint(1000), Layout(2, 2, 4))
