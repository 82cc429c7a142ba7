"""Version numbers that compare part by part."""

from __future__ import annotations

import pytest

from localcluster.compat.loose_version import LooseVersion


def test_numbers_compare_as_numbers() -> None:
    assert LooseVersion("2.10.1") > LooseVersion("2.9")
    assert LooseVersion("1.0") < "1.0.1"
    assert LooseVersion("3.5") == "3.5"
    assert LooseVersion("3.5") != LooseVersion("3.5.0")
    assert LooseVersion("1.5a2") >= "1.5a1"


def test_parts_are_those_of_distutils() -> None:
    version = LooseVersion("1.13++rc2-x")
    assert version.version == [1, 13, "++", "rc", 2, "-", "x"]
    assert str(version) == "1.13++rc2-x"
    assert repr(version) == "LooseVersion ('1.13++rc2-x')"


def test_what_cannot_be_compared_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        assert LooseVersion("1.0") < LooseVersion("1.a")
    with pytest.raises(TypeError):
        assert LooseVersion("1.0") < 2
    assert LooseVersion("1.0") != 1.0
