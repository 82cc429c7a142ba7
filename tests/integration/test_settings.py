"""Each setting of the table in docs/configuration.md is held against a run that shows its effect: `SHOWN_BY` says in
which test. Here are those of settings that go together in one context.
"""

# ruff: noqa: E501 (the table has one row a line)

from __future__ import annotations

import gc
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster import SparkConf, SparkContext, StorageLevel, TaskContext
from localcluster.conf.settings import ENTRIES
from localcluster.errors import JobError
from protocol.errors import FetchFailedError
from tests.support import DEADLINE, executors, status_of, wait_for_executors, wait_until

TESTS = Path(__file__).parents[1]
MIB = 1 << 20

SHOWN_BY = {
    "spark.master": "integration/test_contexts.py::test_a_context_says_what_it_is",
    "spark.app.name": "integration/test_run_options.py::test_options_conf_and_properties_file_reach_every_context_of_the_job",
    "spark.executor.instances": "integration/test_settings_one_by_one.py::test_as_many_executors_and_tasks_at_once_as_the_settings_say",
    "spark.executor.cores": "integration/test_settings_one_by_one.py::test_as_many_executors_and_tasks_at_once_as_the_settings_say",
    "spark.executor.memory": "integration/test_settings_one_by_one.py::test_as_many_blocks_are_cached_as_the_settings_leave_room_for",
    "spark.driver.memory": "integration/test_settings.py::test_the_driver_has_memory_of_its_own",
    "spark.driver.maxResultSize": "integration/test_contexts.py::test_results_larger_than_the_driver_may_get_fail_their_job_alone",
    "spark.storage.memoryFraction": "integration/test_settings_one_by_one.py::test_as_many_blocks_are_cached_as_the_settings_leave_room_for",
    "spark.storage.safetyFraction": "integration/test_settings_one_by_one.py::test_as_many_blocks_are_cached_as_the_settings_leave_room_for",
    "spark.storage.unrollFraction": "integration/test_settings_one_by_one.py::test_a_new_block_takes_as_much_by_eviction_as_the_settings_say",
    "spark.storage.unrollMemoryThreshold": "integration/test_settings_one_by_one.py::test_a_block_that_is_unrolled_holds_as_much_memory_as_the_settings_say",
    "spark.storage.unrollMemoryGrowthFactor": "integration/test_settings_one_by_one.py::test_a_block_that_is_unrolled_holds_as_much_memory_as_the_settings_say",
    "localcluster.sharedMemory": "integration/test_settings.py::test_blocks_for_which_there_is_no_shared_memory_go_to_disk",
    "spark.local.dir": "integration/test_settings_one_by_one.py::test_blocks_lie_in_the_directories_that_settings_or_environment_say",
    "spark.diskStore.subDirectories": "integration/test_settings.py::test_blocks_lie_in_as_many_directories_as_the_settings_say",
    "spark.default.parallelism": "integration/test_settings.py::test_collections_have_as_many_partitions_as_the_settings_say",
    "spark.shuffle.manager": "integration/test_settings.py::test_shuffles_are_laid_out_as_the_settings_say",
    "spark.python.profile": "integration/test_context_options.py::test_jobs_are_profiled_by_rdd",
    "spark.python.profile.dump": "integration/test_context_options.py::test_profiles_are_dumped_at_exit_into_the_directory_that_is_set",
    "spark.python.profile.memory": "integration/test_settings.py::test_a_profile_of_memory_has_nothing_to_show",
    "spark.python.worker.memory": "integration/test_spilling.py::test_sorts_that_spill_are_stable",
    "spark.cores.max": "integration/test_settings_one_by_one.py::test_as_many_executors_and_tasks_at_once_as_the_settings_say",
    "spark.task.cpus": "integration/test_contexts.py::test_tasks_of_two_cpus_halve_the_number_of_tasks_at_once",
    "spark.task.maxFailures": "integration/test_settings.py::test_a_task_fails_for_good_after_as_many_attempts_as_the_settings_say",
    "spark.stage.maxConsecutiveAttempts": "integration/test_settings.py::test_a_stage_whose_inputs_get_lost_has_as_many_attempts_as_the_settings_say",
    "spark.barrier.sync.timeout": "integration/test_barriers.py::test_nobody_waits_for_tasks_that_will_not_come",
    "spark.task.reaper.killTimeout": "faults/test_barrier_loss.py::test_a_task_that_does_not_stop_when_another_failed_is_ended_with_its_executor",
    "spark.speculation": "integration/test_speculation.py::test_a_straggler_is_copied_and_ended_and_counts_once",
    "spark.speculation.interval": "integration/test_speculation.py::test_a_straggler_is_copied_after_as_long_as_the_settings_say",
    "spark.speculation.multiplier": "integration/test_speculation.py::test_a_straggler_is_copied_after_as_long_as_the_settings_say",
    "spark.speculation.quantile": "integration/test_speculation.py::test_a_straggler_is_copied_when_as_many_others_have_ended_as_the_settings_say",
    "spark.speculation.minTaskRuntime": "integration/test_speculation.py::test_a_straggler_is_copied_after_as_long_as_the_settings_say",
    "spark.speculation.task.duration.threshold": "integration/test_speculation.py::test_a_single_task_is_copied_after_as_long_as_the_settings_say",
    "spark.excludeOnFailure.enabled": "integration/test_exclusions.py::test_an_executor_is_excluded_after_as_many_failures_as_the_settings_say",
    "spark.excludeOnFailure.taskAndStage.enabled": "integration/test_exclusions.py::test_an_executor_is_excluded_after_as_many_failures_as_the_settings_say",
    "spark.excludeOnFailure.application.enabled": "integration/test_exclusions.py::test_an_executor_is_excluded_after_as_many_failures_as_the_settings_say",
    "spark.excludeOnFailure.timeout": "integration/test_exclusions.py::test_an_excluded_executor_gets_tasks_again_after_as_long_as_the_settings_say",
    "spark.excludeOnFailure.task.maxTaskAttemptsPerExecutor": "integration/test_exclusions.py::test_a_task_may_fail_at_an_executor_as_often_as_the_settings_say",
    "spark.excludeOnFailure.task.maxTaskAttemptsPerNode": "integration/test_exclusions.py::test_a_task_may_fail_at_an_executor_as_often_as_the_settings_say",
    "spark.excludeOnFailure.stage.maxFailedTasksPerExecutor": "integration/test_exclusions.py::test_an_executor_is_excluded_after_as_many_failures_as_the_settings_say",
    "spark.excludeOnFailure.application.maxFailedTasksPerExecutor": "integration/test_exclusions.py::test_an_executor_is_excluded_after_as_many_failures_as_the_settings_say",
    "spark.excludeOnFailure.killExcludedExecutors": "integration/test_exclusions.py::test_an_excluded_executor_is_replaced_where_the_settings_say_so",
    "spark.scheduler.excludeOnFailure.unschedulableTaskSetTimeout": "integration/test_exclusions.py::test_a_task_that_may_run_nowhere_waits_for_another_executor_as_long_as_the_settings_say",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.interval": "integration/test_exclusions.py::test_a_barrier_stage_waits_for_slots_as_long_as_the_settings_say",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "integration/test_exclusions.py::test_a_barrier_stage_waits_for_slots_as_long_as_the_settings_say",
    "spark.locality.wait": "integration/test_settings.py::test_a_task_waits_for_the_executor_with_its_block_as_long_as_the_settings_say",
    "spark.scheduler.mode": "integration/test_pools.py::test_a_minimum_share_gets_the_next_free_core",
    "spark.scheduler.allocation.file": "integration/test_pools.py::test_a_minimum_share_gets_the_next_free_core",
    "spark.executor.heartbeatInterval": "integration/test_settings.py::test_executors_show_that_they_live_as_often_as_the_settings_say",
    "spark.network.timeout": "faults/test_silent_executors.py::test_a_task_that_waits_for_ever_with_the_gil_held_is_lost",
    "spark.cleaner.ttl": "integration/test_cleaning_by_age.py::test_cached_blocks_go_and_are_computed_again",
    "spark.cleaner.referenceTracking": "integration/test_settings.py::test_blocks_of_dropped_rdds_stay_where_the_settings_say_so",
    "spark.cleaner.referenceTracking.cleanCheckpoints": "integration/test_checkpoint_lifetimes.py::test_files_go_with_the_rdd_where_the_settings_say_so",
    "spark.checkpoint.dir": "integration/test_checkpoint_lifetimes.py::test_files_go_with_the_rdd_where_the_settings_say_so",
    "spark.ui.enabled": "integration/test_status_page_lifetimes.py::test_a_context_whose_page_is_disabled_has_none",
    "spark.ui.port": "integration/test_settings.py::test_the_page_takes_one_of_the_ports_that_the_settings_say",
    "spark.port.maxRetries": "integration/test_status_page_lifetimes.py::test_a_port_that_is_taken_for_good_is_an_error_that_leaves_the_context_usable",
    "spark.ui.retainedJobs": "integration/test_settings.py::test_as_many_jobs_and_stages_are_remembered_as_the_settings_say",
    "spark.ui.retainedDeadExecutors": "faults/test_events.py::test_as_many_dead_executors_are_remembered_as_the_settings_say",
    "spark.ui.retainedStages": "integration/test_settings.py::test_as_many_jobs_and_stages_are_remembered_as_the_settings_say",
    "spark.ui.showConsoleProgress": "integration/test_settings_one_by_one.py::test_there_are_no_bars_on_a_terminal_where_the_settings_say_so",
    "spark.files": "faults/test_files_of_runs.py::test_settings_and_the_constructor_name_files",
    "spark.archives": "faults/test_files_of_runs.py::test_settings_and_the_constructor_name_files",
    "spark.submit.pyFiles": "faults/test_files_of_runs.py::test_options_name_files_which_the_script_can_import_at_once",
    "localcluster.externalBlockStore.class": "integration/test_external_stores.py::test_blocks_outlive_their_executor_and_not_their_run",
    "localcluster.cache.directory": "integration/test_cached_as.py::test_partitions_lie_in_the_directory_that_the_settings_name",
    "spark.executor.allowSparkContext": "integration/test_contexts.py::test_no_context_is_made_in_a_task_unless_its_conf_says_so",
    "localcluster.faults": "faults/test_plans_in_settings.py::test_a_plan_in_the_settings_is_carried_out_and_replacements_have_it",
    "localcluster.faults.seed": "faults/test_plans_in_settings.py::test_chance_falls_as_the_seed_says",
    "localcluster.faults.strict": "faults/test_plans_in_settings.py::test_the_settings_say_whether_a_fault_must_fire",
    "spark.log.level": "integration/test_settings_one_by_one.py::test_records_are_written_from_the_level_on_that_the_settings_say",
    "localcluster.log.level": "integration/test_settings_one_by_one.py::test_records_are_written_from_the_level_on_that_the_settings_say",
}  # fmt: skip


def test_every_setting_has_a_test_that_shows_its_effect() -> None:
    of_files = {key for key in ENTRIES if key.startswith(("spark.hadoop.", "spark.files.", "spark.sql.files."))}
    # Those are in test_input_settings.py and test_reading_text.py.
    assert SHOWN_BY.keys() == ENTRIES.keys() - of_files, (
        "SHOWN_BY names for each setting the test that shows its effect"
    )
    for test in SHOWN_BY.values():
        file, _, name = test.partition("::")
        assert f"\ndef {name}(" in (TESTS / file).read_text(), test


SHARED = 8 * MIB


@pytest.fixture(scope="module")
def taken() -> Iterator[socket.socket]:
    """A port that is taken, and the next one is probably free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture(scope="module")
def sc(taken: socket.socket) -> Iterator[SparkContext]:
    settings = {
        "spark.executor.instances": 2,
        "localcluster.sharedMemory": SHARED,
        "spark.driver.memory": "100m",
        "spark.diskStore.subDirectories": 2,
        "spark.default.parallelism": 3,
        "spark.shuffle.manager": "hash",
        "spark.python.profile.memory": "true",
        "spark.task.maxFailures": 2,
        "spark.stage.maxConsecutiveAttempts": 2,
        "spark.locality.wait": 0,
        "spark.executor.heartbeatInterval": "20ms",
        "spark.cleaner.referenceTracking": "false",
        "spark.ui.port": taken.getsockname()[1],
        "spark.port.maxRetries": 50,
        "spark.ui.retainedJobs": 2,
        "spark.ui.retainedStages": 2,
    }
    conf = SparkConf().setAll([(key, str(value)) for key, value in settings.items()])
    with SparkContext(conf=conf) as tuned:
        wait_for_executors(tuned, 2)
        yield tuned


def block_names(sc: SparkContext) -> list[str]:
    return [block_id.name for block_id in status_of(sc).blocks()]


def test_the_driver_has_memory_of_its_own(sc: SparkContext) -> None:
    memory = {info.port == os.getpid(): info.totalOnHeapStorageMemory for info in sc.statusTracker().getExecutorInfos()}
    assert memory == {True: int(100 * MIB * 0.6 * 0.9), False: int(1024 * MIB * 0.6 * 0.9)}


def test_blocks_for_which_there_is_no_shared_memory_go_to_disk(sc: SparkContext) -> None:
    cached = sc.parallelize(range(8), 8).map(lambda _: os.urandom(2 * MIB)).persist(StorageLevel.OFF_HEAP)
    assert cached.count() == 8
    sizes = sc._kept.stored_partitions(cached.id()).values()
    assert 0 < sum(shared for shared, _ in sizes) <= SHARED
    assert sum(on_disk > 0 for _, on_disk in sizes) >= 4
    cached.unpersist(blocking=True)


def test_blocks_lie_in_as_many_directories_as_the_settings_say(sc: SparkContext) -> None:
    cached = sc.parallelize(range(40), 40).persist(StorageLevel.DISK_ONLY)
    assert cached.count() == 40
    files = list(Path(sc._cluster.scratch.primary).rglob(f"rdd_{cached.id()}_*"))
    assert len(files) == 40
    assert {file.parent.name for file in files} == {"00", "01"}
    cached.unpersist(blocking=True)


def test_collections_have_as_many_partitions_as_the_settings_say(sc: SparkContext) -> None:
    assert sc.defaultParallelism == sc.parallelize(range(10)).getNumPartitions() == 3
    assert sc.parallelize([(1, 1)], 5).reduceByKey(max).getNumPartitions() == 3


def test_shuffles_are_laid_out_as_the_settings_say(sc: SparkContext) -> None:
    shuffled = sc.parallelize([(key, 1) for key in range(10)], 2).reduceByKey(max, 2)
    assert shuffled.count() == 10
    names = [name for name in block_names(sc) if name.startswith(f"shuffle_{shuffled.dependencies[0].shuffle.id}_")]
    assert len(names) == 4, "a block for each pair of tasks"
    assert not any(name.endswith((".data", ".index")) for name in names)


def test_a_profile_of_memory_has_nothing_to_show(sc: SparkContext, capsys: pytest.CaptureFixture[str]) -> None:
    sc.parallelize([1], 1).map(str).count()
    sc.show_profiles()  # is refused where nothing is profiled
    assert capsys.readouterr().out == ""


def test_a_task_fails_for_good_after_as_many_attempts_as_the_settings_say(sc: SparkContext) -> None:
    with pytest.raises(JobError, match="failed 2 times"):
        sc.parallelize([1], 1).foreach(lambda _: 1 // 0)


def test_a_stage_whose_inputs_get_lost_has_as_many_attempts_as_the_settings_say(
    sc: SparkContext, tmp_path: Path
) -> None:
    shuffled = sc.parallelize([(1, 1)], 1).partitionBy(1)
    shuffle_id = shuffled.dependencies[0].shuffle.id

    def lose_the_input(_: Any) -> None:
        os.close(os.open(tmp_path / str(time.monotonic_ns()), os.O_CREAT))
        raise FetchFailedError(shuffle_id, {}, "lost on purpose")

    with pytest.raises(JobError, match="lost on purpose"):
        shuffled.foreach(lose_the_input)
    assert len(os.listdir(tmp_path)) == 2


def test_executors_show_that_they_live_as_often_as_the_settings_say(sc: SparkContext) -> None:
    beats = set()

    def have_shown() -> bool:
        beats.update(
            (e.memory.block_manager_id, e.heartbeat.heard_at) for e in status_of(sc).executors() if e.heartbeat
        )
        counts = Counter(executor for executor, _ in beats)
        return all(counts[executor] > 4 for executor in executors(sc))  # 50 s at the default interval

    wait_until(have_shown)


def test_blocks_of_dropped_rdds_stay_where_the_settings_say_so(sc: SparkContext) -> None:
    cached = sc.parallelize(range(2), 2).persist(StorageLevel.OFF_HEAP)
    assert cached.count() == 2
    name = f"rdd_{cached.id()}_0"
    del cached
    gc.collect()
    other = sc.parallelize(range(2), 2).persist(StorageLevel.OFF_HEAP)
    assert other.count() == 2  # a round of the event loop, in which a cleaner would have run
    other.unpersist(blocking=True)  # by an order that comes after a cleaner's
    assert name in block_names(sc)


def test_the_page_takes_one_of_the_ports_that_the_settings_say(sc: SparkContext, taken: socket.socket) -> None:
    port = taken.getsockname()[1]
    assert sc.uiWebUrl is not None
    assert port < int(sc.uiWebUrl.rpartition(":")[2]) <= port + 50


def test_as_many_jobs_and_stages_are_remembered_as_the_settings_say(sc: SparkContext) -> None:
    sc.setJobGroup("remembered", "")
    stages = []
    for _ in range(3):
        sc.parallelize([1], 1).count()
        job = sc.statusTracker().getJobInfo(sc.statusTracker().getJobIdsForGroup("remembered")[0])
        assert job is not None
        stages += job.stageIds
    assert len(sc.statusTracker().getJobIdsForGroup("remembered")) == 2
    assert [sc.statusTracker().getStageInfo(stage) is None for stage in stages] == [True, False, False]


def test_a_task_waits_for_the_executor_with_its_block_as_long_as_the_settings_say(
    sc: SparkContext, tmp_path: Path
) -> None:
    """Here not at all: it is launched elsewhere before the task of a job that comes later."""

    def where_and_which(_: Any) -> tuple[int, int]:
        task = TaskContext.get()
        assert task is not None
        return os.getpid(), task.taskAttemptId()

    cached = sc.parallelize([0], 1).map(lambda _: os.getpid()).persist(StorageLevel.MEMORY_ONLY)
    holder = cached.first()
    begun, release, found = tmp_path / "begun", tmp_path / "release", []

    def occupy_the_holder(_: Any) -> None:
        if os.getpid() == holder:
            begun.touch()
        wait_until((release if os.getpid() == holder else begun).exists)

    occupier = threading.Thread(target=lambda: sc.parallelize(range(2), 2).foreach(occupy_the_holder))
    reader = threading.Thread(target=lambda: found.append(cached.map(where_and_which).first()))
    occupier.start()
    wait_until(begun.exists)
    reader.start()
    wait_until(lambda: bool(found) or len(sc.statusTracker().getActiveJobsIds()) == 2)
    _, later = sc.parallelize([0], 1).map(where_and_which).first()
    release.touch()
    for thread in (occupier, reader):
        thread.join(DEADLINE)
    ((process, task),) = found
    assert process != holder
    assert task < later
