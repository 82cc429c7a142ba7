"""The methods of Java objects that programs call on ``Py4JJavaError.java_exception``: here of a name and a message."""

from __future__ import annotations


class JavaException:
    """``java_class`` is the name of the exception's class in Spark."""

    def __init__(self, java_class: str, message: str) -> None:
        self._java_class = java_class
        self._message = message

    def getMessage(self) -> str:
        return self._message

    def getCause(self) -> None:
        """None: a message says all."""

    def getClass(self) -> JavaClass:
        return JavaClass(self._java_class)

    def toString(self) -> str:
        return f"{self._java_class}: {self._message}"

    def __str__(self) -> str:
        return self.toString()


class JavaClass:
    """What ``java_exception.getClass()`` gives: a name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def getName(self) -> str:
        return self._name

    def getSimpleName(self) -> str:
        return self._name.rpartition(".")[2]
