"""The command line of ``localcluster cache``: its options and what it prints. `localcluster.cache.command` does the
work.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from localcluster.conf.settings import parse_bytes


def add_cache(cache: argparse.ArgumentParser) -> None:
    """The subcommands, each with the function that does it as ``do``."""
    what = cache.add_subparsers(dest="what", required=True, metavar="WHAT")

    def command(name: str, do: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        added = what.add_parser(name, help=help, description=help, allow_abbrev=False)
        added.add_argument("--directory", metavar="DIR", help="of the cache (default: the user's usual one)")
        added.add_argument("--json", action="store_true", help="print JSON")
        added.set_defaults(do=do)
        return added

    start = command("start", _start, "start the server, if there is none (programs do so by themselves)")
    start.add_argument("--max-memory", type=_size, metavar="SIZE", help="such as 2g (default: a quarter of /dev/shm)")
    start.add_argument(
        "--max-disk", type=_size, metavar="SIZE", help="such as 50g (default: 20g, or half of what is free)"
    )
    start.add_argument(
        "--idle-timeout",
        type=float,
        metavar="S",
        help="end after so many seconds with no program connected and nothing in memory (default: 300)",
    )
    command("status", _status, "show what the cache holds, and what the server did")
    command("ls", _ls, "list the entries").add_argument("namespace", nargs="?", metavar="NAMESPACE")
    rm = command("rm", _rm, "remove entries by their keys, or a whole namespace")
    rm.add_argument("namespace", metavar="NAMESPACE")
    rm.add_argument("keys", nargs="*", default=[], metavar="KEY", help="as `ls` shows it (default: all)")
    command("clear", _clear, "remove all entries of all namespaces")
    command("stop", _stop, "move what is in memory to the disk and end the server")


def _size(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 512m or 2g") from None


def _start(arguments: argparse.Namespace) -> int:
    from localcluster.cache import command
    from localcluster.cache.client import ServerOptions

    options = ServerOptions(arguments.max_memory, arguments.max_disk, arguments.idle_timeout)
    return _show(arguments, command.start(arguments.directory, options))


def _status(arguments: argparse.Namespace) -> int:
    from localcluster.cache import command

    return _show(arguments, command.status(arguments.directory))


def _show(arguments: argparse.Namespace, status: dict[str, Any]) -> int:
    from localcluster.cache import command

    print(command.as_json(status) if arguments.json else command.as_text(status))
    return 0


def _ls(arguments: argparse.Namespace) -> int:
    from localcluster.cache import command

    now = time.time()
    for entry in command.listed(arguments.directory, arguments.namespace):
        line = command.as_json(command.as_record(entry)) if arguments.json else command.as_line(entry, now)
        encoding = sys.stdout.encoding or "utf-8"  # which may not have all of a key's characters
        print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    return 0


def _rm(arguments: argparse.Namespace) -> int:
    from localcluster.cache import command

    if arguments.keys:
        removed = command.remove(arguments.directory, arguments.namespace, arguments.keys)
    else:
        removed = command.clear(arguments.directory, arguments.namespace)
    _removed(arguments, removed)
    return 0 if removed else 1


def _clear(arguments: argparse.Namespace) -> int:
    from localcluster.cache import command

    _removed(arguments, command.clear(arguments.directory, None))
    return 0


def _removed(arguments: argparse.Namespace, count: int) -> None:
    print(f'{{"removed": {count}}}' if arguments.json else f"removed {count} entries")


def _stop(arguments: argparse.Namespace) -> int:
    from localcluster.cache import command

    not_moved = command.stop(arguments.directory)
    if arguments.json:
        print(command.as_json({"stopped": not_moved is not None, "not_moved": not_moved or 0}))
    elif not_moved is None:
        print("no server is running")
    elif not_moved:
        print(f"{not_moved} entries did not go to the disk: the file named log in the cache's directory names them")
    else:
        print("the server has ended, and what was in memory is on the disk")
    return 1 if not_moved else 0
