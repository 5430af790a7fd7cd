from __future__ import annotations

from pathlib import Path

import pytest

import sciinf
from sciinf.core.errors import DataError
from sciinf.run import doctor


def test_versions_name_what_is_missing_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda module: None if module in ("jax", "numpy") else real(module))
    found = {item.what: item for item in doctor.versions()}
    assert found["sciinf"].value == sciinf.__version__
    assert (found["jax"].state, found["jax"].value) == ("absent", 'not installed; pip install "sciinf[train]"')
    assert (found["numpy"].state, found["numpy"].value) == ("wrong", "not installed (required)")


def test_threads_tell_the_environment_and_the_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    found = {item.what: item.value for item in doctor.threads()}
    assert found["OMP_NUM_THREADS"] == "3"
    assert found["MKL_NUM_THREADS"] == "not set"
    assert any("threads" in value for value in found.values())


def test_absent_planck_data_are_said_with_the_ways_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from sciinf.engines import cmb

    def missing() -> None:
        raise DataError("Planck files were not found; three ways to supply them")

    monkeypatch.setattr(cmb, "planck_data", missing)
    (found,) = doctor.planck()
    assert (found.state, found.value) == ("absent", "Planck files were not found; three ways to supply them")


def test_kernels_are_counted_in_the_cache_that_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    cache, folder = doctor.kernels()
    assert cache.value.startswith("0 of ")
    assert "the first call compiles" in cache.value
    assert folder.value == "NUMBA_CACHE_DIR, writable"
    assert "run/doctor.py" not in cache.value
    total = int(cache.value.split()[2])
    (tmp_path / f"kernels.log_likelihood-1.{doctor.cache_tag()}.1.nbi").write_bytes(b"")
    assert int(doctor.kernels()[0].value.split()[0]) >= 1
    assert total >= 1


def test_no_finding_holds_a_path_of_this_machine() -> None:
    for finding in [*doctor.threads(), *doctor.kernels(), *doctor.versions()]:
        assert str(Path.home()) not in str(finding.to_dict())
        assert str(Path(sciinf.__file__).parent) not in str(finding.to_dict())
