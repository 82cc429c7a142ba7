"""`Row`: a tuple with names, PySpark's ``Row``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsIndex, cast

from protocol.errors import (
    PySparkAttributeError,
    PySparkKeyError,
    PySparkRuntimeError,
    PySparkTypeError,
    PySparkValueError,
)


class Row(tuple[Any, ...]):
    """Values by position, by name and by attribute. Named by keyword, or by a row of names used as a class.

    >>> Row(name="Ada", age=36)
    Row(name='Ada', age=36)
    >>> Point = Row("x", "y")
    >>> Point(3, 4).y, Point(3, 4)["x"], Point(3, 4)[0], "x" in Point(3, 4)
    (4, 3, 3, True)
    """

    __fields__: list[str]  # the names; a row of positional values has none

    def __new__(cls, *args: Any, **kwargs: Any) -> Row:
        if args and kwargs:
            raise PySparkValueError(errorClass="CANNOT_SET_TOGETHER", messageParameters={"arg_list": "args and kwargs"})
        if not kwargs:
            return tuple.__new__(cls, args)
        row = tuple.__new__(cls, kwargs.values())
        row.__fields__ = list(kwargs)
        return row

    def asDict(self, recursive: bool = False) -> dict[str, Any]:
        """Values by name; of two fields with one name, the last. ``recursive``: rows in it, in lists and dicts, too.

        Raises PySparkTypeError when the row has no names.
        """
        if not hasattr(self, "__fields__"):
            raise PySparkTypeError(
                errorClass="CANNOT_CONVERT_TYPE", messageParameters={"from_type": "Row", "to_type": "dict"}
            )
        return dict(zip(self.__fields__, map(_plain, self) if recursive else self, strict=False))

    def __contains__(self, item: object) -> bool:
        return item in self.__fields__ if hasattr(self, "__fields__") else super().__contains__(item)

    def __call__(self, *args: Any) -> Row:
        """A row with this row's values as names; there may be fewer values than names."""
        if len(args) > len(self):
            raise PySparkValueError(
                errorClass="TOO_MANY_VALUES",
                messageParameters={"expected": str(len(self)), "item": "fields", "actual": str(len(args))},
            )
        return _create_row(self, args)

    def __getitem__(self, item: Any) -> Any:
        """By position or slice as in a tuple, else by name."""
        if isinstance(item, (int, slice)):
            return super().__getitem__(cast("SupportsIndex", item))
        try:
            return super().__getitem__(self.__fields__.index(item))
        except IndexError:
            raise PySparkKeyError(errorClass="KEY_NOT_EXISTS", messageParameters={"key": str(item)}) from None
        except ValueError:
            raise PySparkValueError(item) from None

    def __getattr__(self, item: str) -> Any:
        if not item.startswith("__"):
            try:
                return super().__getitem__(self.__fields__.index(item))
            except (IndexError, ValueError):
                pass  # no such name, or a name without a value
        raise PySparkAttributeError(errorClass="ATTRIBUTE_NOT_SUPPORTED", messageParameters={"attr_name": item})

    def __setattr__(self, key: str, value: Any) -> None:
        if key != "__fields__":
            raise PySparkRuntimeError(errorClass="READ_ONLY", messageParameters={"object": "Row"})
        self.__dict__[key] = value

    def __reduce__(self) -> Any:
        if hasattr(self, "__fields__"):
            return _create_row, (self.__fields__, tuple(self))
        return Row, tuple(self)

    def __repr__(self) -> str:
        if hasattr(self, "__fields__"):
            return f"Row({', '.join(f'{name}={value!r}' for name, value in zip(self.__fields__, self, strict=False))})"
        return f"<Row({', '.join(map(repr, self))})>"


def _create_row(fields: Sequence[str], values: Sequence[Any]) -> Row:
    """A row with names, also from a pickle. PySpark has it under the same name."""
    row = Row(*values)
    row.__fields__ = cast("list[str]", fields)
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, Row):
        return value.asDict(True)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
