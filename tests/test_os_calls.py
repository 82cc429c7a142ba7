"""Calls of the operating system that can fail go through an ``os_layer``, where tests can make any of them fail."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOORS = {"storage/os_layer.py", "localcluster/base/os_layer.py"}

OF_OS = """
    open fdopen dup dup2 pipe read write pread pwrite sendfile fsync truncate ftruncate posix_fallocate memfd_create
    mkdir makedirs rmdir removedirs rename replace link symlink unlink remove listdir scandir statvfs fork forkpty execv
"""
FALLIBLE = {
    *("open", "io.open", "io.FileIO", "gzip.open", "bz2.open", "lzma.open", "tarfile.open", "zipfile.ZipFile"),
    *("mmap.mmap", "Pipe", "socket.socket", "socket.socketpair", "socket.send_fds", "socket.recv_fds"),
    *("shutil.*", "tempfile.*", "subprocess.*"),
    *(f"os.{name}" for name in OF_OS.split()),
}
"""Not: what can only say that a process or a file is gone (kill, waitpid, stat), and `close`, whose errors `write` and
`rename` stand for."""

OUTSIDE = {
    # What the user has is read as any Python program reads it; a file that cannot be read is made for the test.
    "localcluster/rdd/reading.py": {"open"},
    "localcluster/rdd/compression.py": {"open"},
    "localcluster/rdd/input_paths.py": {"os.listdir"},
    "localcluster/task/broadcast.py": {"open"},
    "localcluster/conf/properties_file.py": {"open"},
    "localcluster/job_program.py": {"open"},
    # What installers left; what cannot be read is as what is not there.
    "localcluster/digests/distributions.py": {"open", "os.listdir"},
    # The package's own pages.
    "localcluster/base/documentation.py": {"open", "os.listdir"},
    # The standard library writes these files; whatever it raises is one error, and the directory goes.
    "localcluster/base/unpacking.py": {"tarfile.open", "zipfile.ZipFile"},
    "localcluster/api/user_files.py": {"shutil.copyfileobj", "shutil.SpecialFileError"},
    # Bytes in pipes and sockets that are open: what fails is their other end, which tests close.
    "protocol/stream.py": {"os.read", "os.write", "socket.socket"},
    "localcluster/base/event_loop.py": {"os.read", "os.write"},
    "localcluster/launcher/launcher.py": {"os.read", "socket.socket"},
    # Standard streams and terminals, before a run and at its very end, or in a fork: no run can be saved there.
    "protocol/forks.py": {"os.open", "os.dup2"},
    "localcluster/cli.py": {"os.open", "os.dup2"},
    "localcluster/hash_seed.py": {"os.execv"},
    "localcluster/base/standard_streams.py": {"os.open", "os.dup2"},
    "localcluster/launcher/janitor.py": {"os.open", "os.dup2", "os.listdir"},
    "localcluster/launcher/bottom_lines.py": {"os.open", "os.dup", "os.write"},
    # A name for `ps` if it can be had, and what explains a crash or a run that hangs.
    "localcluster/launcher/process_title.py": {"open"},
    "localcluster/executor/crash_report.py": {"open"},
    "localcluster/base/own_stacks.py": {"open", "os.open", "os.dup2"},
    "localcluster/base/stack_server.py": {"socket.socket", "os.memfd_create", "os.pread"},
    "localcluster/launcher/dump.py": {"open", "os.listdir", "os.truncate", "socket.socket"},
    # Runs that are tried from outside, and what they leave: of the one who tries them, not of a run.
    "localcluster/trials/rounds.py": {"open", "subprocess.Popen", "tempfile.TemporaryDirectory"},
    "localcluster/trials/leaks.py": {"tempfile.gettempdir", "os.listdir"},
    # The cache's server leaves whoever started it.
    "localcluster/cache/server_process.py": {"os.dup2"},
    # Where the temporary directory is.
    "localcluster/cache/home.py": {"tempfile.gettempdir"},
    "storage/scratch.py": {"tempfile.gettempdir"},
    "storage/stale_runs.py": {"tempfile.gettempdir"},
    "localcluster/compat/external/disk.py": {"tempfile.gettempdir"},
    # PySpark's own class, as it does it; how much space there is, with a default.
    "localcluster/compat/external/group_by_key.py": {"tempfile.TemporaryFile", "os.pread"},
    "localcluster/conf/settings.py": {"os.statvfs"},
}


def fallible_calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in FALLIBLE or name.partition(".")[0] + ".*" in FALLIBLE:
                yield name


def test_what_can_fail_goes_through_a_door() -> None:
    found = {}
    for package in ("protocol", "storage", "localcluster"):
        for path in (ROOT / package).rglob("*.py"):
            calls = set(fallible_calls(ast.parse(path.read_text())))
            if calls:
                found[str(path.relative_to(ROOT))] = calls
    outside = {module: calls for module, calls in found.items() if module not in DOORS}
    assert outside == OUTSIDE, "a call that can fail is outside of the doors and not in the list, or the list has more"
    assert found.keys() >= DOORS
