"""The one door to the operating system for files, directories and shared memory.

Covers the calls that can fail on what a run writes (blocks, segments, output) and on the directories around it: each is
a plain function of this module. Tests replace a function (``monkeypatch.setattr(os_layer, "write", …)``) to inject a
full disk (ENOSPC), short writes, EIO or damaged bytes, so users of this module must call ``os_layer.write(…)``, never
``from storage.os_layer import write``. Does not cover policy: what to do about an error is the caller's business, an
OSError passes unchanged. The door for processes and what travels between them is ``localcluster.base.os_layer``.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import io
import mmap
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, TypeAlias, cast

from protocol.forks import stop_strays

BytesLike: TypeAlias = bytes | bytearray | memoryview

_MADV_POPULATE_WRITE = 23  # Linux 5.14; Python's mmap module has no name for it yet
_PAGE_ENTRY = 8  # bytes of /proc/PID/pagemap for each page
_OF_THE_FILE = bytes([0, *(high for high in range(256) if high & 0x20)])  # highest bytes for: not there, or not written
_ZEROES = bytes(1 << 20)
_BUFFER = 1 << 16  # bytes of output that go to the system at once


# --- files ---------------------------------------------------------------------------------------------------------


def create(path: str) -> int:
    """Create a new file for reading and writing, 0600; the descriptor. Raises FileExistsError, also for a symlink."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def open_existing(path: str, *, writable: bool = False) -> int:
    """Open a file that exists; the descriptor. Never follows a symlink in the path's last place (OSError ELOOP)."""
    return os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC)


def open_to_read(path: str) -> int:
    """Open a file that exists, also through a symlink; the descriptor."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def open_output(path: str) -> BinaryIO:
    """Create or empty a file for buffered writing by `write`, with the permissions that the user's umask leaves."""
    return cast(BinaryIO, io.BufferedWriter(_Output(path, "w"), _BUFFER))


class _Output(io.FileIO):
    def write(self, data: BytesLike) -> int:  # type: ignore[override]
        return write_all(self.fileno(), data)


def close(fd: int) -> None:
    """Close a file that was written: a file system may report a failed write as late as here."""
    os.close(fd)


def let_go(fd: int) -> None:
    """Close a descriptor by which nothing was written: it is closed, whatever the system says to that."""
    try:
        os.close(fd)
    except OSError as error:
        if error.errno == errno.EBADF:  # it is somebody's mistake
            raise


def file_size(fd: int) -> int:
    """Length of an open file in bytes."""
    return os.fstat(fd).st_size


def write(fd: int, data: BytesLike) -> int:
    """Write at the file's position; how many bytes were taken, which may be fewer than given. See `write_all`."""
    stop_strays()
    return os.write(fd, data)


def write_all(fd: int, data: BytesLike) -> int:
    """Write all of `data` (C-contiguous) at the file's position; its size in bytes.

    Raises OSError; how much was written before is then unknown, so the caller drops the file.
    """
    left = memoryview(data).cast("B")
    size = left.nbytes
    while left.nbytes:
        # One call takes at most 2 GiB less a page, and fewer bytes when the disk fills: the next call then raises.
        written = write(fd, left)
        if written == 0:
            raise OSError(errno.EIO, "the system took no bytes and gave no reason")
        left = left[written:]
    return size


def write_at(fd: int, data: BytesLike, offset: int) -> None:
    """Write all of `data` (C-contiguous) at byte `offset`. Raises OSError."""
    left = memoryview(data).cast("B")
    while left.nbytes:
        stop_strays()
        written = os.pwrite(fd, left, offset)
        if written == 0:
            raise OSError(errno.EIO, "the system took no bytes and gave no reason")
        left, offset = left[written:], offset + written


def read_at(fd: int, length: int, offset: int) -> bytearray:
    """The bytes from `offset` on, fewer where the file ends before. Raises OSError."""
    data = bytearray(length)
    view, done = memoryview(data), 0
    while done < length and (found := os.preadv(fd, [view[done:]], offset + done)):
        done += found
    view.release()
    del data[done:]
    return data


def read_some(fd: int, length: int) -> bytes:
    """Up to so many bytes at the file's position, in one call."""
    return os.read(fd, length)


def truncate(path: str, size: int) -> None:
    """Cut a file short."""
    os.truncate(path, size)


def read_all(path: str) -> bytes:
    """All bytes of a small file."""
    with open(path, "rb") as file:
        return file.read()


def rename(source: str, target: str) -> None:
    """Give a file its final name; atomic within one file system, and replaces what had that name."""
    stop_strays()
    os.replace(source, target)


def exists(path: str) -> bool:
    """Whether something has this name; half the price of ``os.path.exists``."""
    return os.access(path, os.F_OK)


def space_at(path: str) -> tuple[int, int]:
    """(size, free bytes) of the file system that the path is in."""
    space = shutil.disk_usage(path)
    return space.total, space.free


def size_of(path: str) -> int | None:
    """Length in bytes of the file that has this name; None when there is none."""
    try:
        return os.stat(path).st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def unlink(path: str) -> bool:
    """Remove a file's name; False when there is no such file."""
    stop_strays()
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def pipe() -> tuple[int, int]:
    """The reading and the writing end of a pipe."""
    return os.pipe()


# --- memory --------------------------------------------------------------------------------------------------------


def reserve(fd: int, size: int) -> None:
    """Make the file `size` bytes long with every page backed. Raises OSError ENOSPC when there is no room.

    Never `ftruncate` alone: touching an unbacked page of a full ``/dev/shm`` is a SIGBUS.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    start = file_size(fd)  # macOS has no posix_fallocate: written zeroes are backed, too
    os.lseek(fd, start, os.SEEK_SET)
    while start < size:
        start += write_all(fd, memoryview(_ZEROES)[: size - start])


def map_file(fd: int, length: int, *, offset: int = 0, writable: bool = False) -> mmap.mmap:
    """Map bytes of an open file, shared. `offset` is a multiple of ``mmap.ALLOCATIONGRANULARITY``; `length` is not 0.

    The mapping outlives the descriptor and the file's name. Check `file_size` first: a page behind the file's end is a
    SIGBUS when touched, and Python checks it only up to 3.12.
    """
    return _map(fd, length, offset, mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)


def map_privately(fd: int, length: int, *, offset: int = 0, keep_open: bool = False) -> mmap.mmap:
    """As `map_file`, writable: what is written is this process's own, and only pages that are written to are copied.

    `keep_open`: the mapping keeps a duplicate of the descriptor, and so its `lock_shared`, as long as it lives.
    """
    return _map(fd, length, offset, mmap.ACCESS_COPY, keep_open)


def _map(fd: int, length: int, offset: int, access: int, keep_open: bool = False) -> mmap.mmap:
    if sys.version_info >= (3, 13):  # earlier versions keep a duplicate of the descriptor as long as the mapping lives
        return mmap.mmap(fd, length, access=access, offset=offset, trackfd=keep_open)
    return mmap.mmap(fd, length, access=access, offset=offset)


def is_viewed(mapping: mmap.mmap) -> bool:
    """Whether views of a private mapping exist; they do while a finalizer runs that waits for the last one."""
    try:
        mapping.resize(len(mapping))
    except BufferError:
        return True
    except (TypeError, ValueError):  # it cannot be resized anyway, which comes second
        pass
    return False


def take_back(mapping: mmap.mmap) -> None:
    """Drop what was written to a private mapping that has no views: it shows the file's bytes again.

    Pages that were read stay mapped, where the system tells which were written to.
    """
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    size = -(-len(mapping) // mmap.PAGESIZE) * _PAGE_ENTRY
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as file:
            entries = os.pread(file.fileno(), size, address // mmap.PAGESIZE * _PAGE_ENTRY)
    except OSError:
        entries = b""
    if len(entries) < size or entries[_PAGE_ENTRY - 1 :: _PAGE_ENTRY].translate(None, _OF_THE_FILE):
        mapping.madvise(mmap.MADV_DONTNEED)


def anonymous_file() -> int:
    """Make a file of memory without a name, which goes with the last descriptor and mapping; the descriptor.

    Raises OSError, also where the system has no such files.
    """
    if not hasattr(os, "memfd_create"):
        raise OSError(errno.ENOSYS, "this system has no files without a name")
    return os.memfd_create("localcluster", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def seal(fd: int) -> None:
    """Let nobody change an anonymous file any more, nor its length. Raises OSError."""
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)


def populate(mapping: mmap.mmap, start: int, length: int) -> None:
    """Fault the pages of a writable mapping in at once, which is twice as fast as one by one. `start` is page-aligned.

    Does nothing where the kernel does not know how. Raises OSError when the pages cannot be had.
    """
    try:
        mapping.madvise(_MADV_POPULATE_WRITE, start, length)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


# --- directories and locks -----------------------------------------------------------------------------------------


def make_directory(path: str) -> None:
    """Create one directory, mode 0700. Raises FileExistsError, also for a symlink."""
    os.mkdir(path, 0o700)


def remove_directory(path: str) -> None:
    """Remove an empty directory. Raises OSError, ENOTEMPTY when something is in it."""
    os.rmdir(path)


def remove_tree(path: str) -> None:
    """Remove a file, or a directory with all it holds. Removes symlinks, never follows them. Raises OSError."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def remove_what_can_be(path: str) -> None:
    """Remove of a directory and all it holds as much as the system lets us."""
    shutil.rmtree(path, ignore_errors=True)


def copy_file(source: str, target: str) -> None:
    """Copy a file's bytes, permissions and times."""
    shutil.copy2(source, target)


def copy_tree(
    source: str, target: str, copy: Callable[[str, str], object], ignore: Callable[[str, list[str]], tuple[()]]
) -> None:
    """Copy a directory with all it holds, files by `copy`; `ignore` as in `shutil.copytree`."""
    shutil.copytree(source, target, copy_function=copy, ignore=cast(Any, ignore))


def make_directories(path: str) -> None:
    """Create a directory and those above it, with the permissions that the umask leaves, as far as they are missing."""
    os.makedirs(path, exist_ok=True)


def temporary_directory(prefix: str, parent: str) -> AbstractContextManager[str]:
    """Create a directory with a new name, mode 0700, for a ``with`` statement, whose end removes it."""
    return tempfile.TemporaryDirectory(prefix=prefix, dir=parent)


def make_temporary_directory(prefix: str, parent: str) -> str:
    """Create a directory with a new name, mode 0700; its path."""
    return tempfile.mkdtemp(prefix=prefix, dir=parent)


def list_directory(path: str) -> list[str]:
    """Names of the entries of a directory."""
    return os.listdir(path)


def scan(path: str) -> list[os.DirEntry[str]]:
    """The entries of a directory, with what the system says of each for little more; none when there is no such
    directory.
    """
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def names_in(path: str) -> list[str]:
    """As `list_directory`; none when there is no such directory."""
    try:
        return list_directory(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def own_status(path: str) -> os.stat_result | None:
    """Status of what the path itself names (a symlink is not followed), None when it is gone or another user's."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status if status.st_uid == os.getuid() else None


def lock(fd: int, *, wait: bool) -> bool:
    """Take the exclusive `flock` of an open file description; False when another holds it and `wait` is False.

    The lock belongs to the description, so forked children hold it too, and it is free when the last of them is dead.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_shared(fd: int) -> bool:
    """Take a shared `flock`, which others may have as well; False when another holds the exclusive one."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(fd: int) -> None:
    """Let go of what `lock` took."""
    fcntl.flock(fd, fcntl.LOCK_UN)
