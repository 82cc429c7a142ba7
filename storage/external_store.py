"""Plugging in a store of the user's own, named in the configuration.

Covers finding the class and making the store. The class is a `BlockStore`, is constructed with one argument, the
mapping of options from the configuration, and passes `tests/storage/store_conformance.py`;
`tests/storage/redis_store.py` is an example. Follows Spark's ``ExternalBlockStore`` with its pluggable block manager.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping

from protocol.errors import ConfigurationError
from storage.block_store import BlockStore

KEY = "localcluster.externalBlockStore.class"


def load_external_store(class_name: str, options: Mapping[str, str]) -> BlockStore:
    """Make the store of class ``package.module.Class``. What its constructor raises passes unchanged.

    Raises ConfigurationError when there is no such class, or it is not a complete BlockStore.
    """
    module_name, _, name = class_name.rpartition(".")
    if not module_name or not name:
        raise ConfigurationError(f"{KEY} must be package.module.Class, not {class_name!r}")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the module's own code raises
        raise ConfigurationError(f"{KEY} is {class_name!r}, but {module_name} cannot be imported: {error}") from error
    found = getattr(module, name, None)
    if not inspect.isclass(found) or not issubclass(found, BlockStore):
        problem = f"{module_name} has no {name}" if found is None else f"{name} is not a BlockStore"
        raise ConfigurationError(f"{KEY} is {class_name!r}, but {problem}")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise ConfigurationError(f"{KEY} is {class_name!r}, which does not define {missing}")
    make: Callable[[Mapping[str, str]], BlockStore] = found
    return make(options)
