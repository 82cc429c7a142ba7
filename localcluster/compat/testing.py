"""What test suites in PySpark's style build on: PySpark's ``testing.utils`` without what is for DataFrames."""

from __future__ import annotations

import functools
import importlib.util
import signal
import sys
import time
import unittest
from collections.abc import Callable, Mapping, Sequence
from types import FrameType, TracebackType
from typing import Any, ClassVar, NoReturn

from localcluster.api.context import SparkContext
from localcluster.conf import SparkConf
from protocol.errors import PySparkException


def have_package(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


have_numpy = have_package("numpy")
numpy_requirement_message = None if have_numpy else "No module named 'numpy'"
have_pandas = have_package("pandas")
pandas_requirement_message = None if have_pandas else "No module named 'pandas'"
have_scipy = have_package("scipy")
scipy_requirement_message = None if have_scipy else "No module named 'scipy'"
should_test_connect = False
connect_requirement_message = "Spark Connect is not part of localcluster"


class QuietTest:
    """A block in which the driver's log is silent, for errors that a test makes on purpose."""

    def __init__(self, sc: SparkContext) -> None:
        self._sc = sc

    def __enter__(self) -> None:
        self._sc.setLogLevel("OFF")

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self._sc.setLogLevel("WARN")


class PySparkBaseTestCase(unittest.TestCase):
    """The root of PySpark's test cases."""


class PySparkTestCase(PySparkBaseTestCase):
    """A context ``sc`` for each test; changes of ``sys.path`` end with it."""

    def setUp(self) -> None:
        self._old_sys_path = list(sys.path)
        self.sc = SparkContext("local[4]", type(self).__name__)

    def tearDown(self) -> None:
        self.sc.stop()
        sys.path = self._old_sys_path


class ReusedPySparkTestCase(PySparkBaseTestCase):
    """One context ``sc`` for all tests of the class. Override `conf` and `master` for another one."""

    sc: ClassVar[SparkContext]

    @classmethod
    def conf(cls) -> SparkConf:
        return SparkConf()

    @classmethod
    def master(cls) -> str:
        return "local[4]"

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.sc = SparkContext(cls.master(), cls.__name__, conf=cls.conf())

    @classmethod
    def tearDownClass(cls) -> None:
        try:
            cls.sc.stop()
        finally:
            super().tearDownClass()

    def quiet(self) -> QuietTest:
        return QuietTest(self.sc)


class PySparkErrorTestUtils(unittest.TestCase):
    """A mixin for tests of errors."""

    def check_error(
        self,
        exception: PySparkException,
        errorClass: str,
        messageParameters: Mapping[str, str] | None = None,
        query_context_type: None = None,
        fragment: None = None,
        matchPVals: bool = False,
    ) -> None:
        """Condition and parameters are these; with ``matchPVals`` the given ones are regular expressions.

        ``query_context_type`` and ``fragment`` have to be None: there are no queries here.
        """
        self.assertIsInstance(exception, PySparkException)
        self.assertIsNone(query_context_type)
        self.assertIsNone(fragment)
        self.assertEqual(exception.getCondition(), errorClass)
        found = exception.getMessageParameters()
        if not matchPVals:
            self.assertEqual(found, messageParameters)
            return
        self.assertEqual((found or {}).keys(), (messageParameters or {}).keys())
        for key, pattern in (messageParameters or {}).items():
            self.assertRegex((found or {})[key], pattern)


class ByteArrayOutput:
    """A stream that keeps what is written to it."""

    def __init__(self) -> None:
        self.buffer = bytearray()

    def write(self, b: bytes) -> None:
        self.buffer += b

    def close(self) -> None:
        """Nothing has to be closed."""


def timeout(timeout: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: the function, in the main thread, raises TimeoutError after ``timeout`` whole seconds."""

    def decorate(func: Callable[..., Any]) -> Callable[..., Any]:
        def on_alarm(signum: int, frame: FrameType | None) -> NoReturn:
            raise TimeoutError(f"Function {func.__name__} timed out after {timeout} seconds")

        @functools.wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            signal.signal(signal.SIGALRM, on_alarm)
            signal.alarm(timeout)
            try:
                return func(*args, **kwargs)
            finally:
                signal.alarm(0)

        return wrapper

    return decorate


def eventually(
    timeout: float = 30.0,
    catch_assertions: bool = False,
    catch_timeout: bool = False,
    quiet: bool = True,
    interval: float = 0.1,
    expected_exceptions: Sequence[type[BaseException]] = (),
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """A decorator: call the function every ``interval`` seconds until it returns True or None.

    Exceptions of the kinds named count as "not yet". After ``timeout`` seconds the last of them is raised, else an
    AssertionError with what the function returned last. ``quiet`` has no effect: nothing is printed.
    """
    kinds: tuple[type[BaseException], ...] = tuple(expected_exceptions)
    if catch_assertions:
        kinds += (AssertionError,)
    if catch_timeout:
        kinds += (TimeoutError,)

    def decorate(condition: Callable[..., Any]) -> Callable[..., None]:
        @functools.wraps(condition)
        def wrapper(*args: Any, **kwargs: Any) -> None:
            deadline = time.monotonic() + timeout
            last: Any = "no call"
            while time.monotonic() < deadline:
                try:
                    last = condition(*args, **kwargs)
                except kinds as error:
                    last = error
                if last is None or last is True:
                    return
                time.sleep(interval)
            if isinstance(last, kinds):
                raise last
            raise AssertionError(
                f"Test failed due to timeout after {timeout:g} sec, with last condition returning: {last}"
            )

        return wrapper

    return decorate


def main(module: Any = None, output: str | None = None) -> None:
    """Run a module's tests as a program. ``output`` has no effect: no reports are written."""
    unittest.main(module="__main__" if module is None else module, verbosity=2)
