"""Errors that help."""

import pytest

from aifactory_lab.errors import DataError, FactoryError, MissingPackageError, require


def test_mend_stands_on_its_own_line():
    error = DataError("found 3", mend="do that")
    assert str(error).splitlines() == ["found 3", "  mend: do that"]
    assert isinstance(error, FactoryError)
    assert str(DataError("found 3")) == "found 3"


def test_missing_package_gives_the_install_line():
    with pytest.raises(MissingPackageError, match=r"pip install 'aifactory-lab\[gpu\]'"):
        require("no_such_package", extra="gpu")
    with pytest.raises(ImportError):
        require("no_such_package", extra="gpu")
    assert require("json", extra="gpu").dumps([]) == "[]"
