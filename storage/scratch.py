"""The directories and names of one run, owned by a lock that is free once every process of the run is dead.

A run has a name, ``localcluster-<uid>-<random>``. Under this name it has a *primary* directory in the system's
temporary directory, one directory in each configured local directory, and its files in ``/dev/shm`` start with it.
Each of these directories is laid out alike::

    <root>/<name>/lock          flock held by the creator and every process forked from it
                 /directories   in the primary one only: the roots that hold blocks, each ended by a NUL
                 /made          likewise: directories above the roots, and roots, that the run makes, outermost first
                 /blocks/       block files

Since the kernel drops the lock with the last process that inherited it, "the lock can be taken" means that the run is
dead however it ended, and its leavings may be removed: at once by the janitor, later by ``localcluster clean``.

Nothing here waits for another process but `wait_until_unowned`. What lies in the block directories is the business of
`disk_block_manager`, finding dead runs that of `stale_runs`; see also `segment` for ``/dev/shm``.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Sequence

from protocol.errors import ConfigurationError, StorageError
from storage import os_layer
from storage.named_errors import named

log = logging.getLogger(__name__)

SHARED_MEMORY = "/dev/shm"
LOCK = "lock"
_DIRECTORIES = "directories"
_MADE = "made"
_BLOCKS = "blocks"
_ATTEMPTS = 100


class Scratch:
    """The scratch space of one run. Make one with `create` (owner) or `attach` (any other process).

    ``name`` is the prefix of all the run's names, ``primary`` the primary directory, ``directories`` the roots for
    block files (at least one, the same list in the same order in all processes).
    """

    def __init__(self, primary: str, directories: list[str], lock_fds: list[int]) -> None:
        self.name = os.path.basename(primary)
        self.primary = primary
        self.directories = directories
        self._lock_fds = lock_fds
        self._owner = os.getpid()

    @classmethod
    def create(
        cls,
        local_dirs: Sequence[str] = (),
        parent: str | None = None,
        announce: Callable[[str], None] = lambda primary: None,
    ) -> Scratch:
        """Make and own a new scratch space; removed when this process exits, unless `remove` was called before.

        Blocks go to `local_dirs` (made when absent, and removed with the run then; those that cannot be written are
        skipped with a warning), or to the primary directory when none are configured. The caller's forked children own
        it, too, until they call `disown`. `announce` is told the primary directory before anything is made, for a
        process that cleans should this one be killed; more than once when names are taken.

        Raises ConfigurationError when `parent` (default: the system's temporary directory) or every local directory
        cannot be written. Nothing is left behind then.
        """
        parent = os.path.realpath(parent or tempfile.gettempdir())
        roots = list(dict.fromkeys(map(os.path.realpath, local_dirs))) or [parent]
        for _ in range(_ATTEMPTS):
            try:
                scratch = cls._try_create(parent, roots, announce)
            except OSError as error:
                raise ConfigurationError(f"cannot make a scratch directory in {parent}: {error}") from error
            if scratch is not None:
                atexit.register(scratch._remove_at_exit)
                return scratch
        raise StorageError(f"other processes removed {_ATTEMPTS} new scratch directories in {parent}")

    @classmethod
    def _try_create(cls, parent: str, roots: list[str], announce: Callable[[str], None]) -> Scratch | None:
        """None when a cleaner took the new name away. Leaves nothing behind then, or when it raises."""
        primary = os.path.join(parent, f"localcluster-{os.getuid()}-{os.urandom(6).hex()}")
        announce(primary)
        fd = _claim(primary)
        if fd is None:
            return None
        scratch = cls(primary, [], [fd])
        try:
            if scratch._claim_roots(parent, roots):
                return scratch
        except BaseException:
            scratch.remove()
            raise
        scratch.remove()
        return None

    @classmethod
    def attach(cls, primary: str) -> Scratch:
        """The scratch space that another process owns; this one does not. Raises StorageError when it is gone."""
        names = _read_paths(primary, _DIRECTORIES)
        if not names:
            raise StorageError(f"there is no scratch directory {primary}")
        name = os.path.basename(primary)
        return cls(primary, [os.path.join(root, name, _BLOCKS) for root in names], [])

    def claim(self, name: str) -> bool:
        """Whether this process is the first of the run that claims the name: for what is to be said once."""
        try:
            os_layer.let_go(os_layer.create(os.path.join(self.primary, name)))
        except FileExistsError:
            return False
        except OSError:  # twice is better than never
            return True
        return True

    def disown(self) -> None:
        """Let go of the ownership that this process inherited; the others keep theirs. May be called again."""
        atexit.unregister(self._remove_at_exit)
        while self._lock_fds:
            os_layer.let_go(self._lock_fds.pop())  # not LOCK_UN, which would take the lock from all who inherited it

    def remove(self) -> None:
        """Remove the directories and the ``/dev/shm`` files of the run, then `disown`. May be called again.

        What cannot be removed is logged, and the primary directory then stays for the janitor, or for ``localcluster
        clean``.
        """
        try:
            _remove(self.primary)
        except OSError as error:  # of a look into a directory
            log.warning("cannot remove all of %s: %s", self.primary, error)
        finally:
            self.disown()

    def _claim_roots(self, parent: str, roots: list[str]) -> bool:
        """Claim and list a directory in each root that can be written; False when a cleaner took one away meanwhile."""
        # Before they exist, so that a crash leaves none that is not listed.
        _write_paths(self.primary, _DIRECTORIES, roots)
        _write_paths(self.primary, _MADE, [path for root in roots for path in _missing(root)])
        usable = []
        problems = []
        for root in roots:
            try:
                if root != parent:
                    os_layer.make_directories(root)
                    try:
                        fd = _claim(os.path.join(root, self.name))
                    except FileNotFoundError:  # a run that had made the root, and ended now, took it away again
                        return False
                    if fd is None:
                        return False
                    self._lock_fds.append(fd)
            except OSError as error:
                problems.append(f"{root} ({error.strerror or error})")
                log.warning("local directory %s is not used: %s", root, error)
            else:
                usable.append(root)
        if not usable:
            raise ConfigurationError(f"no local directory can be written: {', '.join(problems)}")
        _write_paths(self.primary, _DIRECTORIES, usable)
        self.directories = [os.path.join(root, self.name, _BLOCKS) for root in usable]
        return True

    def _remove_at_exit(self) -> None:
        if os.getpid() == self._owner:  # a forked child that ends by sys.exit runs its parent's exit handlers
            self.remove()


def wait_until_unowned(primary: str) -> None:
    """Return when no process owns the scratch directory any more, or when it is gone.

    The kernel's lock is the liveness check. A process forked from an owner must `disown` first, or it waits for itself.
    """
    fd = _open_lock(primary)
    if fd is None:
        return
    try:
        os_layer.lock(fd, wait=True)
    finally:
        os_layer.let_go(fd)


def remove_unowned(primary: str) -> list[str]:
    """Remove one run's directories and ``/dev/shm`` files if no process owns it; the paths that were removed."""
    status = os_layer.own_status(primary)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return []
    fd = _open_lock(primary)
    if fd is None:
        # No lock file yet, or none any more: an empty directory can go, and its creator, if there is one, takes another
        # name. The system refuses when the lock file came meanwhile.
        return [primary] if is_removed(os_layer.remove_directory, primary) else []
    try:
        return _remove(primary) if os_layer.lock(fd, wait=False) and _is_named(fd, primary) else []
    finally:
        os_layer.let_go(fd)


# --- one owned directory -------------------------------------------------------------------------------------------


def _claim(directory: str) -> int | None:
    """Make an owned directory; the descriptor that holds its lock. Raises OSError with nothing left behind.

    None when a cleaner saw the directory before it was locked: that name is lost, take another. Nobody waits here.
    """
    try:
        os_layer.make_directory(directory)
    except FileExistsError:
        return None
    try:
        fd = os_layer.create(os.path.join(directory, LOCK))
    except FileNotFoundError:
        return None
    except OSError:
        is_removed(os_layer.remove_directory, directory)
        raise
    try:
        if os_layer.lock(fd, wait=False) and _is_named(fd, directory):
            os_layer.make_directory(os.path.join(directory, _BLOCKS))
            return fd
    except BaseException:
        is_removed(_remove_directory, directory)
        os_layer.let_go(fd)
        raise
    os_layer.let_go(fd)
    return None


def _open_lock(directory: str) -> int | None:
    try:
        return os_layer.open_existing(os.path.join(directory, LOCK))
    except FileNotFoundError:
        return None


def _is_named(fd: int, directory: str) -> bool:
    """Whether the lock file that was opened is still there: a cleaner may have removed it before we got its lock."""
    status = os_layer.own_status(os.path.join(directory, LOCK))
    return status is not None and os.path.samestat(status, os.fstat(fd))


def _missing(directory: str) -> list[str]:
    """The directory and those above it that are not there, outermost first."""
    missing: list[str] = []
    while not os.path.lexists(directory):
        missing.insert(0, directory)
        directory = os.path.dirname(directory)
    return missing


def _write_paths(primary: str, name: str, paths: list[str]) -> None:
    target = os.path.join(primary, name)
    fd = os_layer.create(target + ".new")
    with named(target):
        try:
            os_layer.write_all(fd, b"".join(os.fsencode(path) + b"\0" for path in paths))
        finally:
            os_layer.close(fd)
    os_layer.rename(target + ".new", target)


def _read_paths(primary: str, name: str) -> list[str]:
    try:
        listed = os_layer.read_all(os.path.join(primary, name))
    except FileNotFoundError:
        return []
    return [os.fsdecode(path) for path in listed.split(b"\0")[:-1]]


# --- removal -------------------------------------------------------------------------------------------------------


def _remove(primary: str) -> list[str]:
    """Remove all of a run; the paths removed. The primary directory goes last, so a later cleaning finds the rest."""
    parent, name = os.path.split(primary)
    shared = [os.path.join(SHARED_MEMORY, entry) for entry in os_layer.names_in(SHARED_MEMORY)]
    shared = [path for path in shared if os.path.basename(path).startswith(name) and os_layer.own_status(path)]
    roots = _read_paths(primary, _DIRECTORIES)
    others = [os.path.join(root, name) for root in roots if root != os.path.realpath(parent)]
    others = [path for path in others if os.path.lexists(path)]
    removed = [path for path in shared if is_removed(os_layer.unlink, path)]
    removed += [path for path in others if is_removed(_remove_directory, path)]
    for path in reversed(_read_paths(primary, _MADE)):
        with contextlib.suppress(OSError):  # another run, or somebody else, has something in it
            os_layer.remove_directory(path)
            removed.append(path)
    if os.path.lexists(primary) and not any(map(os.path.lexists, others)) and is_removed(_remove_directory, primary):
        removed.append(primary)
    return removed


def _remove_directory(directory: str) -> None:
    """Remove one owned directory, its lock file last: as long as that is there, a later cleaner takes up the rest."""
    for entry in os_layer.names_in(directory):
        if entry != LOCK:
            os_layer.remove_tree(os.path.join(directory, entry))
    os_layer.unlink(os.path.join(directory, LOCK))
    os_layer.remove_directory(directory)


def is_removed(remove: Callable[[str], object], path: str) -> bool:
    """Whether the path is gone now; what hinders it is logged."""
    try:
        remove(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        log.warning("cannot remove %s: %s", path, error)
        return False
    return True
