"""The pytest plugin: contexts, faults and events as fixtures, tests under each of several plans, leak checks.

Covers options, marker and fixtures; ``localcluster.trials`` has what they do. Loaded in every pytest session of an
environment that has localcluster, so it imports nothing of it before a test asks: not even the package, which refuses
to load beside a program's own ``storage.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from localcluster import SparkConf, SparkContext
    from localcluster.trials.events import EventsOfTest
    from localcluster.trials.faults import FaultsOfTest, Trial

MARK = (
    "faults(*plans, may_not_fire=False): run the test once under each of these plans of faults (texts, rules, lists of "
    "both); a rule that never fires fails it, unless it may not"
)
TRIAL = "_localcluster_trial"  # the parameter that the mark adds
WENT_WELL = pytest.StashKey[bool]()  # what a test has that came to its end


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    # pytest rewrites the assertions of every module of a distribution that has a plugin, and has no way to say no: the
    # whole cluster would be compiled anew in each environment, by a loader that `runpy` cannot use.
    marked: set[str] = getattr(pluginmanager.rewrite_hook, "_must_rewrite", set())
    marked.difference_update(("protocol", "storage", "localcluster"))
    group = parser.getgroup("localcluster")
    group.addoption(
        "--localcluster-leaks",
        action="store_true",
        help="fail tests that leave processes, threads, descriptors, shared memory or directories behind",
    )
    group.addoption(
        "--localcluster-chaos",
        metavar="SEED",
        type=int,
        help="run each test that uses sc or shared_sc under a plan of faults drawn from this number and its name",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARK)
    if config.getoption("--localcluster-leaks"):
        try:
            from localcluster.trials import leak_check
        except ImportError as error:  # beside a program's own storage.py
            raise pytest.UsageError(str(error)) from error

        config.pluginmanager.register(leak_check)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marks = list(metafunc.definition.iter_markers("faults"))
    if marks:
        from localcluster.trials.faults import text_of, trials_of

        trials = [trial for mark in marks for trial in trials_of(mark)]
        metafunc.fixturenames.append(TRIAL)
        metafunc.parametrize(TRIAL, trials, ids=text_of, indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """The plan of the marker, or of chaos, is armed while the test runs, and not in its fixtures."""
    trial = _trial_of(item)
    if trial is None:
        result = yield
    else:
        from localcluster.trials.faults import armed

        with armed(*trial):
            result = yield
    item.stash[WENT_WELL] = True
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: Any = yield
    if report.failed and (trial := _trial_of(item)) is not None:
        from localcluster.trials.faults import text_of

        report.sections.append(("localcluster: the plan of faults", text_of(trial)))
    return report  # type: ignore[no-any-return]


def _trial_of(item: pytest.Item) -> Trial | None:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if TRIAL in parameters:
        return parameters[TRIAL]  # type: ignore[no-any-return]
    seed = item.config.getoption("--localcluster-chaos")
    if seed is None or not {"sc", "shared_sc"} & set(getattr(item, "fixturenames", ())):
        return None
    from localcluster.trials.faults import drawn_trial

    return drawn_trial(seed, item.nodeid)


@pytest.fixture(name=TRIAL)
def _trial(request: pytest.FixtureRequest) -> Trial:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def spark_conf() -> SparkConf:
    """What the contexts of `sc` and `shared_sc` are made with: two executors, four attempts for a task. Override it."""
    from localcluster import SparkConf

    return SparkConf().set("spark.executor.instances", "2")


@pytest.fixture(scope="session")
def _shared_context(spark_conf: SparkConf) -> Iterator[Any]:
    from localcluster.trials.contexts import SharedContext

    shared = SharedContext(spark_conf)
    yield shared
    shared.stop()


@pytest.fixture
def sc(spark_conf: SparkConf, _shared_context: Any) -> Iterator[SparkContext]:
    """A context of this test's own."""
    from localcluster import SparkContext

    _shared_context.stop()
    with SparkContext(conf=spark_conf) as context:
        yield context


@pytest.fixture
def shared_sc(_shared_context: Any) -> Iterator[SparkContext]:
    """A context that all tests share which ask for it. A test that leaves a job running fails; what else it left is
    undone, and a context that it stopped or broke is made anew.
    """
    yield _shared_context.get()
    _shared_context.tidy()


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> Iterator[FaultsOfTest]:
    """Call it with rules: they are armed from then on to the test's end. One that never fires fails the test."""
    from localcluster.trials.faults import FaultsOfTest

    faults = FaultsOfTest()
    yield faults
    faults.end(went_well=request.node.stash.get(WENT_WELL, False))


@pytest.fixture
def events() -> EventsOfTest:
    """Call it, or call it with types: what happened in this test so far, oldest first."""
    from localcluster.trials.events import EventsOfTest

    return EventsOfTest()
