"""One setting: its key, its default, what it accepts, and how its value is read from text, with its type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, overload

from protocol.errors import ConfigurationError

T = TypeVar("T")
V = TypeVar("V")


class Texts(Protocol):
    """Settings as text: a mapping, or a `SparkConf`."""

    def get(self, key: str, /) -> str | None: ...


class Setting(Generic[V]):
    """An attribute of a class whose objects have ``texts``. Each object reads it from its text once.

    ``default`` is text as a user would write it; without one the value is None when nothing is set, which means
    something of its own. ``accepts`` says what ``parse`` takes; ``old_key`` counts where ``key`` is not set.
    """

    @overload
    def __init__(
        self: Setting[T], key: str, default: str, parse: Callable[[str], T], accepts: str, doc: str, old_key: str = ...
    ) -> None: ...

    @overload
    def __init__(
        self: Setting[T | None],
        key: str,
        default: None,
        parse: Callable[[str], T],
        accepts: str,
        doc: str,
        old_key: str = ...,
    ) -> None: ...

    def __init__(
        self,
        key: str,
        default: str | None,
        parse: Callable[[str], Any],
        accepts: str,
        doc: str,
        old_key: str | None = None,
    ) -> None:
        self.key = key
        self.default = default
        self.parse = parse
        self.accepts = accepts
        self.doc = doc
        self.old_key = old_key

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Setting[V]: ...

    @overload
    def __get__(self, instance: Any, owner: type) -> V: ...

    def __get__(self, instance: Any, owner: type) -> Setting[V] | V:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self.read(instance.texts)  # an attribute like any from now on
        return value

    def read(self, texts: Texts) -> V:
        """Raises ConfigurationError that names key, value and what is accepted."""
        key, text = self.key, texts.get(self.key)
        if text is None and self.old_key is not None and (text := texts.get(self.old_key)) is not None:
            key = self.old_key
        if text is None:
            text = self.default
        try:
            value: Any = None if text is None else self.parse(text)
        except (ValueError, KeyError):
            raise ConfigurationError(f"{key} must be {self.accepts}, not {text!r}") from None
        return value  # type: ignore[no-any-return]
