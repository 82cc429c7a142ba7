"""Reading ``spark.scheduler.allocation.file``: the pools of FAIR scheduling, in Spark's ``fairscheduler.xml`` format.

::

    <allocations>
      <pool name="reports">
        <schedulingMode>FAIR</schedulingMode>
        <weight>2</weight>
        <minShare>1</minShare>
      </pool>
    </allocations>
"""

from __future__ import annotations

import logging
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

from localcluster.scheduler.pools import Pool
from protocol.errors import ConfigurationError

log = logging.getLogger(__name__)

KEY = "spark.scheduler.allocation.file"


def read_pools(location: str | None) -> dict[str, Pool]:
    """The pools of a file (a path or a ``file:`` URI) by name; none when there is no file.

    As in Spark, a value that means nothing is warned of and replaced by its default. Raises ConfigurationError when the
    file cannot be read, is no XML, or a pool has no name.
    """
    if location is None:
        return {}
    path = unquote(urlsplit(location).path) if location.startswith("file:") else location
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise ConfigurationError(
            f"{KEY} must name an XML file of pools; {location!r} cannot be read: {error}"
        ) from error
    return {pool.name: pool for pool in (_pool(element, location) for element in root.iter("pool"))}


def _pool(element: ElementTree.Element, location: str) -> Pool:
    name = element.get("name")
    if not name:
        raise ConfigurationError(f"{KEY} must give each pool a name; one in {location!r} has none")
    return Pool(
        name, _is_fair(element, name), _number(element, name, "weight", 1), _number(element, name, "minShare", 0)
    )


def _is_fair(element: ElementTree.Element, pool: str) -> bool:
    mode = _text(element, "schedulingMode")
    if mode is not None and mode.upper() not in ("FAIR", "FIFO"):
        log.warning("schedulingMode of pool %s must be FAIR or FIFO, not %r; taking FIFO", pool, mode)
    return mode is not None and mode.upper() == "FAIR"


def _number(element: ElementTree.Element, pool: str, name: str, least: int) -> int:
    """A whole number; ``least`` is both the default and the smallest that has a meaning."""
    text = _text(element, name)
    if text is None:
        return least
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        log.warning(
            "%s of pool %s must be a whole number from %d on, not %r; taking %d", name, pool, least, text, least
        )
    return max(value, least)


def _text(element: ElementTree.Element, name: str) -> str | None:
    return (element.findtext(name) or "").strip() or None
