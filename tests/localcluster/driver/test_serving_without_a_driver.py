"""Event loop and block master as a server that is no driver: its clients are block managers of several runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from multiprocess.connection import Pipe

from localcluster.base.event_loop import EventLoop
from localcluster.base.side_thread import SideThread
from localcluster.driver.block_master import BlockMaster
from protocol.block_messages import RemoveExecutor
from protocol.channel import Channel
from protocol.endpoint import Endpoint, Incoming
from protocol.errors import ChannelError
from protocol.locations import ShmLocation, across_runs
from protocol.message import Order, Report
from storage.block_id import RDDBlockId
from storage.block_manager import BlockManager
from storage.block_manager_master import ASK_TIMEOUT, BlockManagerMaster
from storage.block_manager_master_endpoint import BlockManagerMasterEndpoint
from storage.block_manager_slave_endpoint import BlockManagerSlaveEndpoint
from storage.conf import StorageConf
from storage.scratch import Scratch
from storage.storage_level import StorageLevel
from tests.support import DEADLINE, wait_until

BLOCK = RDDBlockId(3, 0)
VALUE = bytes(range(256)) * 64
CONF = StorageConf(max_memory=1 << 20, shared_memory=32 << 20)


class Server:
    """One block manager of its own, called cache, beside the master."""

    def __init__(self, scratch: Scratch) -> None:
        self.lock = threading.RLock()
        self.crashes: list[BaseException] = []
        self.orders: dict[str, Endpoint] = {}  # {client: our end}
        self.side = SideThread("cache-side")
        self.loop = EventLoop(self.lock, self._round, self.crashes.append, name="cache-loop")
        endpoint = BlockManagerMasterEndpoint(CONF.shared_memory, own_id="cache")
        self.master = BlockMaster(endpoint, self.lock, self.side, self._send, self._ask)
        self.manager = BlockManager("cache", BlockManagerMaster(self.master), CONF, scratch)
        self.master.slave = BlockManagerSlaveEndpoint(self.manager)
        self.side.start()
        self.loop.start()
        self.manager.register()

    def _round(self, now: float) -> float:
        for endpoint in self.orders.values():
            endpoint.expire(now)
        return 0.5

    def _send(self, client: str, order: Order) -> None:
        self.orders[client].tell(order)

    def _ask(self, client: str, order: Order) -> Future[Any]:
        return self.orders[client].ask_async(order, ASK_TIMEOUT)

    def connect(self, client: str) -> tuple[Endpoint, Endpoint]:
        """The client's ends for orders and reports."""
        (orders, far_orders), (reports, far_reports) = Pipe(), Pipe()
        ours = [Endpoint(Channel(end, buffered=True)) for end in (orders, reports)]
        with self.lock:
            self.orders[client] = ours[0]
            for endpoint in ours:
                self.loop.add(endpoint, lambda batch: self._received(client, batch), lambda end: self._gone(client))
        return Endpoint(Channel(far_orders)), Endpoint(Channel(far_reports))

    def _received(self, client: str, batch: list[Incoming]) -> None:
        for message, reply in batch:
            self.master.serve(client, message, reply)

    def _gone(self, client: str) -> None:
        if self.orders.pop(client, None) is not None:
            self.master.receive("cache", RemoveExecutor(client))

    def close(self) -> None:
        self.side.stop(DEADLINE)
        self.manager.stop()
        self.loop.stop(DEADLINE)
        assert not self.crashes
        self.master.endpoint.check()


class Client:
    """A block manager whose master is at the other end of two pipes."""

    def __init__(self, server: Server, executor_id: str, run: str, scratch: Scratch) -> None:
        self.name = across_runs(executor_id, run)
        self.orders, self.reports = server.connect(self.name)
        self.manager = BlockManager(self.name, BlockManagerMaster(self), CONF, scratch)
        self.slave = BlockManagerSlaveEndpoint(self.manager)
        self.thread = threading.Thread(target=self._obey, daemon=True)
        self.thread.start()
        self.manager.register()

    def ask(self, message: Report, timeout: float = ASK_TIMEOUT) -> Any:
        return self.reports.ask(message, timeout)

    def tell(self, *messages: Report) -> None:
        self.reports.tell(*messages)

    def _obey(self) -> None:
        try:
            while True:
                order, reply = self.orders.receive()
                answer = self.slave.receive(order)
                if reply is not None:
                    reply(answer)
        except ChannelError:
            return

    def put(self, level: str) -> None:
        self.manager.put_single(BLOCK, VALUE, StorageLevel.from_string(level))

    def read(self) -> bytes | None:
        result = self.manager.get(BLOCK)
        return None if result is None else next(iter(result.values))

    def die(self) -> None:
        for endpoint in (self.orders, self.reports):
            endpoint.abort()
        self.thread.join(DEADLINE)
        self.manager.abandon()


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    scratch = Scratch.create((str(tmp_path),))
    yield scratch
    scratch.remove()


@pytest.fixture
def server(scratch: Scratch) -> Iterator[Server]:
    server = Server(scratch)
    yield server
    server.close()


@pytest.fixture
def clients(server: Server, scratch: Scratch) -> Iterator[tuple[Client, Client]]:
    """Of two runs, in which they have the same id."""
    both = Client(server, "0", "run-a", scratch), Client(server, "0", "run-b", scratch)
    yield both
    for client in both:
        client.die()
    wait_until(lambda: not server.orders)


def test_the_threads_have_the_servers_names(server: Server) -> None:
    assert {"cache-loop", "cache-side"} <= {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("level", ["OFF_HEAP", "MEMORY_ONLY", "DISK_ONLY"])
def test_one_reads_what_the_other_put(clients: tuple[Client, Client], level: str) -> None:
    writer, reader = clients
    writer.put(level)
    assert reader.read() == VALUE


def test_what_a_dead_client_left_is_read_and_removed_by_the_servers_own_manager(
    server: Server, clients: tuple[Client, Client]
) -> None:
    writer, reader = clients
    writer.put("OFF_HEAP")
    ((_, place),) = reader.manager.master.get_locations(BLOCK)
    assert isinstance(place, ShmLocation)
    writer.die()
    wait_until(lambda: writer.name not in server.orders)
    assert reader.read() == VALUE
    server.manager.master.remove_rdd(BLOCK.rdd_id)
    wait_until(lambda: not Path(place.segment).exists())


def test_a_lease_is_the_readers_though_the_holder_has_the_same_id_in_another_run(
    server: Server, clients: tuple[Client, Client]
) -> None:
    writer, reader = clients
    writer.put("OFF_HEAP")
    view = reader.manager.get_bytes(BLOCK)
    assert view is not None
    assert server.master.endpoint.statistics().leases == 1
    writer.manager.remove_block(BLOCK)
    assert server.master.endpoint.statistics().extents_in_limbo == 1
    assert VALUE in bytes(view.memoryview())
    del view
    reader.manager.flush_lease_releases()
    wait_until(lambda: server.master.endpoint.statistics().extents_in_limbo == 0)


def test_the_death_of_one_takes_nothing_of_its_namesake(server: Server, clients: tuple[Client, Client]) -> None:
    first, second = clients
    first.put("MEMORY_ONLY")
    second.die()
    wait_until(lambda: second.name not in server.orders)
    assert server.master.endpoint.statistics().managers == 2
    assert server.manager.get_remote_values(BLOCK) is not None
