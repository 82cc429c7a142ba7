"""Where RDDs say that they come from."""

from __future__ import annotations

import sys

from localcluster.base.call_site import SCCallSiteSync
from tests.localcluster.rdd.local_context import LocalContext


def line_here() -> int:
    return sys._getframe(1).f_lineno


def test_an_rdd_comes_from_the_line_that_made_it(sc: LocalContext) -> None:
    rdd, line = sc.parallelize([1]).map(str), line_here()
    assert rdd.call_site == f"map at {__file__}:{line}"
    numbers, line = sc.parallelize(range(9), 3), line_here()
    assert numbers.call_site == f"parallelize at {__file__}:{line}"


def test_a_chosen_line_counts_inside_and_the_outermost_of_several(sc: LocalContext) -> None:
    outer, line = SCCallSiteSync(sc), line_here()
    with outer:
        with SCCallSiteSync(sc):
            inside = sc.parallelize([1])
        still_inside = sc.parallelize([1])
    assert inside.call_site == still_inside.call_site == f"__init__ at {__file__}:{line}"
    assert sc.parallelize([1]).call_site.startswith("parallelize at ")
