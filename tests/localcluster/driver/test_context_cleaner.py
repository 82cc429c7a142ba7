"""What follows from an object that the driver's program dropped: nothing at once, its cleaning in the next round."""

from __future__ import annotations

import threading

from localcluster.driver.context_cleaner import ContextCleaner


class Owner:
    pass


class Wakes:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def test_an_object_that_lives_is_not_cleaned_up() -> None:
    cleaner, cleaned = ContextCleaner(Wakes()), []
    owner = Owner()
    cleaner.register(owner, lambda: cleaned.append(1))
    cleaner.run()
    assert cleaned == []
    del owner


def test_a_finalizer_only_notes_and_wakes_and_the_round_cleans_once() -> None:
    wakes, cleaned = Wakes(), []
    cleaner = ContextCleaner(wakes)
    for number in range(3):
        owner = Owner()
        cleaner.register(owner, lambda number=number: cleaned.append(number))  # type: ignore[misc]
        del owner
    assert (wakes.count, cleaned) == (3, [])
    cleaner.run()
    cleaner.run()
    assert cleaned == [0, 1, 2]


def test_what_is_dropped_while_cleaning_is_cleaned_in_the_same_round() -> None:
    cleaner, cleaned = ContextCleaner(Wakes()), []
    inner, outer = [Owner()], Owner()
    cleaner.register(inner[0], lambda: cleaned.append("inner"))
    cleaner.register(outer, inner.clear)
    del outer
    cleaner.run()
    assert cleaned == ["inner"]


def test_a_finalizer_may_run_in_a_thread_that_holds_a_lock() -> None:
    lock = threading.Lock()
    cleaner, cleaned = ContextCleaner(Wakes()), []

    def clean() -> None:
        with lock:
            cleaned.append(1)

    owners = [Owner()]
    cleaner.register(owners[0], clean)
    with lock:
        owners.clear()
    cleaner.run()
    assert cleaned == [1]


def test_a_finalizer_that_was_called_off_cleans_nothing() -> None:
    cleaner, cleaned = ContextCleaner(Wakes()), []
    owner = Owner()
    cleaner.register(owner, lambda: cleaned.append(1)).detach()
    del owner
    cleaner.run()
    assert cleaned == []


def test_after_stop_nothing_is_noted_woken_or_cleaned() -> None:
    wakes, cleaned = Wakes(), []
    cleaner = ContextCleaner(wakes)
    first, second = Owner(), Owner()
    for owner in (first, second):
        cleaner.register(owner, lambda: cleaned.append(1))
    del owner, first
    cleaner.stop()
    del second
    cleaner.run()
    assert (wakes.count, cleaned) == (1, [])


def test_finalizers_do_not_run_at_exit() -> None:
    cleaner = ContextCleaner(Wakes())
    owner = Owner()
    assert not cleaner.register(owner, lambda: None).atexit
