"""Which distributions a package is of: in directories of a test's own, and here, as `importlib.metadata` says it."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from localcluster.digests.distributions import versions_of

INSTALLED = {
    "scikit_learn-1.5.2.dist-info": {"RECORD": "sklearn/__init__.py,sha256=1,2\nsklearn/base.py,,\n"},
    "numpy-2.1.0+local.dist-info": {"RECORD": "numpy/__init__.py,,\nnumpy.libs/libx.so,,\n"},
    "google_auth-2.0.dist-info": {"RECORD": "google/auth/__init__.py,,\n"},
    "protobuf-5.1.dist-info": {"RECORD": "bin/x,,\ngoogle/protobuf/__init__.py,,\n"},
    "PyYAML-6.0.dist-info": {"top_level.txt": "_yaml\nyaml\n", "RECORD": "yaml/__init__.py,,\n"},
    "old-1.0-py3.11.egg-info": {"top_level.txt": "ancient\n"},
    "py_cpuinfo-9.0.dist-info": {"RECORD": "cpuinfo.py,,\n"},
    "~umpy-1.0.dist-info": {"RECORD": "numpy/__init__.py,,\nleft/x.py,,\n"},
}


@pytest.fixture
def installed(tmp_path: Path) -> str:
    for info, files in INSTALLED.items():
        (tmp_path / info).mkdir()
        for name, content in files.items():
            (tmp_path / info / name).write_text(content)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("package", "versions"),
    [
        ("sklearn", "scikit_learn 1.5.2"),
        ("numpy", "numpy 2.1.0+local"),
        ("google", "google_auth 2.0, protobuf 5.1"),
        ("yaml", "PyYAML 6.0"),
        ("pyyaml", "PyYAML 6.0"),
        ("ancient", "old 1.0-py3.11"),
        ("cpuinfo", "py_cpuinfo 9.0"),
        ("cpu", ""),
        ("left", ""),
    ],
)
def test_a_package_is_of_the_distributions_that_have_it(package: str, versions: str, installed: str) -> None:
    assert versions_of(package, ["/is/not/there", installed]) == versions


def test_the_first_directory_that_has_any_counts(installed: str, tmp_path: Path) -> None:
    first = tmp_path / "first"
    (first / "numpy-1.0.dist-info").mkdir(parents=True)
    assert versions_of("numpy", [str(first), installed]) == "numpy 1.0"
    assert versions_of("sklearn", [str(first), installed]) == "scikit_learn 1.5.2"


def test_another_version_is_another_text(installed: str) -> None:
    before = versions_of("sklearn", [installed])
    Path(installed, "scikit_learn-1.5.2.dist-info").rename(Path(installed, "scikit_learn-1.5.3.dist-info"))
    assert versions_of("sklearn", [installed]) != before


def test_it_says_the_versions_that_importlib_says() -> None:
    by_package = metadata.packages_distributions()
    for package in ("numpy", "pandas", "pyarrow", "pytest", "hypothesis", "cloudpickle", "_pytest"):
        versions = {metadata.version(name) for name in by_package[package]}
        assert {each.split()[-1] for each in versions_of(package, sys.path).split(", ")} == versions
