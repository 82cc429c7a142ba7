"""Every exception that localcluster raises on purpose; they are defined in `protocol.errors`."""

from protocol import errors as _family
from protocol.errors import *  # noqa: F403 - the whole family, nothing else is defined there

__all__ = [name for name, value in vars(_family).items() if isinstance(value, type) and issubclass(value, Exception)]
