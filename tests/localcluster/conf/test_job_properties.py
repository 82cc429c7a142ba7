"""What a thread says of its jobs is its own."""

from __future__ import annotations

from localcluster.conf.job_properties import JobProperties
from tests.support import InThread


def test_each_thread_has_its_own() -> None:
    properties = JobProperties()
    properties.set("a", "1")
    assert InThread(properties.copy).outcome() == {}
    assert InThread(lambda: properties.replace({"b": "2"})).outcome() is None
    assert properties.copy() == {"a": "1"}


def test_what_is_copied_stays_as_it_was() -> None:
    properties, given = JobProperties(), {"a": "1"}
    properties.replace(given)
    before = properties.copy()
    properties.set("a", None)
    assert (before, given, properties.copy()) == ({"a": "1"}, {"a": "1"}, {})


def test_tags_are_a_list_without_repeats_and_without_them_no_property() -> None:
    properties = JobProperties()
    for tag in ("b", "a", "b"):
        properties.add_tag(tag)
    assert properties.copy() == {"spark.job.tags": "b,a"}
    properties.remove_tag("nobody's")
    properties.remove_tag("b")
    assert properties.tags() == ["a"]
    properties.remove_tag("a")
    assert properties.copy() == {}
