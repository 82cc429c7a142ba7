"""Every exception that localcluster raises on purpose, from `protocol.errors` and `protocol.sql_errors`."""

from protocol import errors as _family
from protocol import sql_errors as _sql
from protocol.errors import *  # noqa: F403 - the whole family, nothing else is defined there
from protocol.sql_errors import *  # noqa: F403

__all__ = [
    name
    for name, value in (vars(_family) | vars(_sql)).items()
    if isinstance(value, type) and issubclass(value, Exception)
]
