from __future__ import annotations

import gc
import threading

from hypothesis import given
from hypothesis import strategies as st

from protocol.locations import ShmLocation
from storage.lease import LeaseBook

ONE, TWO = ShmLocation("/dev/shm/s", 0, 64), ShmLocation("/dev/shm/s", 64, 10)


def test_each_lease_is_given_back_once() -> None:
    book = LeaseBook()
    for location in (ONE, ONE, TWO):
        book.acquire(location)
    assert book.take_releases() == ()
    assert book.held == {ONE: 2, TWO: 1}
    book.release(ONE)
    book.release(TWO)
    book.release(ONE)
    assert dict(book.take_releases()) == {ONE: 2, TWO: 1}
    assert book.take_releases() == ()
    assert book.held == {}


@given(st.lists(st.tuples(st.sampled_from(["acquire", "release", "take"]), st.sampled_from([ONE, TWO]))))
def test_held_and_given_back_add_up_to_what_was_granted(steps: list[tuple[str, ShmLocation]]) -> None:
    book = LeaseBook()
    granted, open_views, given_back = {ONE: 0, TWO: 0}, {ONE: 0, TWO: 0}, {ONE: 0, TWO: 0}
    for step, location in steps:
        if step == "acquire":
            book.acquire(location)
            granted[location] += 1
            open_views[location] += 1
        elif step == "release" and open_views[location]:
            book.release(location)
            open_views[location] -= 1
        elif step == "take":
            for released, count in book.take_releases():
                given_back[released] += count
            assert all(granted[place] - given_back[place] == open_views[place] for place in (ONE, TWO))
    for released, count in book.take_releases():
        given_back[released] += count
    for place in (ONE, TWO):
        assert book.held.get(place, 0) == open_views[place] == granted[place] - given_back[place]


def test_a_finalizer_may_release_while_the_book_is_locked_by_its_thread() -> None:
    """A garbage collection inside `acquire` runs finalizers in the thread that holds the book's lock."""
    book = LeaseBook()
    book.acquire(ONE)
    done = threading.Event()

    class CollectsWhenHashed(ShmLocation):
        def __hash__(self) -> int:
            book.release(ONE)
            return hash((self.segment, self.offset))

    def acquire() -> None:
        book.acquire(CollectsWhenHashed("/dev/shm/s", 128, 1))
        done.set()

    thread = threading.Thread(target=acquire, daemon=True)
    thread.start()
    assert done.wait(10), "the book deadlocked with a finalizer"
    thread.join()
    assert ONE in dict(book.take_releases())


def test_releases_from_many_threads_are_all_counted() -> None:
    book = LeaseBook()
    taken: list[tuple[ShmLocation, int]] = []
    for _ in range(4000):
        book.acquire(ONE)
    threads = [
        threading.Thread(target=lambda: [book.release(ONE) for _ in range(1000)]),
        threading.Thread(target=lambda: [book.release(ONE) for _ in range(3000)]),
        threading.Thread(target=lambda: [taken.extend(book.take_releases()) for _ in range(200)]),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    taken.extend(book.take_releases())
    assert sum(count for _, count in taken) == 4000
    assert book.held == {}
    gc.collect()
