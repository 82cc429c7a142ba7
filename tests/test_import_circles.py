"""No modules import each other in a circle, imports for type checkers counted, but inside `localcluster.rdd`, where an
RDD has methods that make other RDDs.
"""

from __future__ import annotations

from graphlib import TopologicalSorter

import grimp


def test_circles_are_inside_rdd_only() -> None:
    graph = grimp.build_graph("protocol", "storage", "localcluster", cache_dir=None)
    modules = [name for name in graph.modules if not name.startswith("localcluster.rdd.")]
    imports = {name: graph.find_modules_directly_imported_by(name) & set(modules) for name in modules}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle
