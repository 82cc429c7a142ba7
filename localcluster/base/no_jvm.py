"""`NoJVM`: what PySpark's objects keep of their JVM (``_jsc``, ``_jvm``, …) is an error here that says so."""

from __future__ import annotations

from typing import Any, NoReturn

from protocol.errors import PySparkAttributeError


class NoJVM:
    """A class attribute that cannot be read, so that ``hasattr`` is False, on the class as on its objects."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> NoReturn:
        raise PySparkAttributeError(
            errorClass="JVM_ATTRIBUTE_NOT_SUPPORTED", messageParameters={"attr_name": self._name}
        )
