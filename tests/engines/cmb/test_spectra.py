"""Spectra: what is refused, what is warned about, and how files are read."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sciinf.core.errors import ConfigError, DataError, SciinfWarning
from sciinf.engines.cmb.spectra import SPECTRA, Spectra, SpectraBatch

L = np.arange(251, dtype=np.float64)
TT = np.where(L < 2, 0.0, 1000.0 + L)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"te": np.where(L == 7, np.nan, TT)}, "TE must be finite; at l = 7 it is nan"),
        ({"pp": np.where(L == 249, np.inf, TT)}, "PP must be finite; at l = 249 it is inf"),
        ({"tt": TT[None, :]}, r"one-dimensional .* got shape \(1, 251\)"),
        ({"ee": TT[:2]}, r"l_max >= 2; got shape \(2,\)"),
        ({"tt": TT[2:]}, "entries 0 and 1 must be zero"),
        ({"tt": TT * 1j}, "real numbers"),
        ({"tt": None}, "at least one of TT"),
    ],
)
def test_refuses_with_the_place_named(change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Spectra(**{"tt": TT} | change)


@pytest.mark.parametrize(
    ("factor", "cause"),
    [
        (1e-12, "in K instead of muK"),
        (2 * np.pi / (200 * 201), "C_l instead of D_l"),
        (1 / 2.7255e6**2, r"units of T_cmb\^2"),
        (1e-12 * 2 * np.pi / (200 * 201), r"C_l in K\^2"),
        (1 / 2.7255e6**2 * 2 * np.pi / (200 * 201), r"C_l in units of T_cmb\^2"),
        (1e3, "a factor 1e[+]03 of the usual 5600"),
    ],
)
def test_other_units_are_warned_about_with_the_likeliest_cause(fiducial: Spectra, factor: float, cause: str) -> None:
    with pytest.warns(SciinfWarning, match=f"TT at l = 200 is .*{cause}"):
        Spectra(tt=factor * fiducial["TT"])


def test_usual_units_are_not_warned_about(fiducial: Spectra) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for factor in (0.1, 1.0, 10.0):
            Spectra(tt=factor * fiducial["TT"])
    assert caught == []


def test_absent_is_not_zero() -> None:
    model = Spectra(tt=TT, ee=TT[:31])
    assert model.l_max == {"TT": 250, "EE": 30}
    assert model.te is None
    with pytest.raises(DataError, match="TE is absent; present: TT, EE"):
        model["TE"]
    with pytest.raises(ConfigError, match="did you mean 'TE'"):
        model["TEE"]


def test_later_changes_outside_are_not_seen() -> None:
    values = TT.copy()
    model = Spectra(tt=values)
    values[100] = 0.0
    assert model["TT"][100] == TT[100]


def test_npz_round_trip(tmp_path: Path, fiducial: Spectra) -> None:
    path = tmp_path / "model.npz"
    np.savez(path, l=np.arange(2, 2701), tt=fiducial["TT"][2:], pp=fiducial["PP"][2:])
    model = Spectra.from_file(path)
    assert model.l_max == {"TT": 2700, "PP": 2700}
    assert np.array_equal(model["TT"], fiducial["TT"])
    with pytest.raises(ConfigError, match="columns are for text tables"):
        Spectra.from_file(path, columns=("l", "tt"))


def test_text_columns_are_required_and_never_guessed(tmp_path: Path, fiducial: Spectra) -> None:
    """planck-lite-py writes TT TE EE, CAMB TT EE BB TE: the same file read with the two lists gives different spectra."""
    path = tmp_path / "model.dat"
    np.savetxt(path, np.column_stack([np.arange(2, 301), *(fiducial[name][2:301] for name in ("TT", "TE", "EE"))]), header="l TT TE EE")
    with pytest.raises(ConfigError, match="never guessed"):
        Spectra.from_file(path)
    model = Spectra.from_file(path, columns=("l", "tt", "te", "_"))
    assert model.l_max == {"TT": 300, "TE": 300}
    assert np.array_equal(model["TE"], fiducial["TE"][:301])
    swapped = Spectra.from_file(path, columns=("l", "tt", "ee", "te"))
    assert np.array_equal(swapped["EE"], fiducial["TE"][:301])


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        (("l", "tt"), DataError, "3 columns found, 2 named"),
        (("l", "tt", "eee"), ConfigError, "unknown column 'eee'.*did you mean 'ee'"),
        (("tt", "te", "ee"), ConfigError, "must hold 'l'"),
        (("l", "tt", "tt"), ConfigError, "each name once"),
        (("tt", "l", "te"), DataError, "l must run 0, 1 or 2 onwards"),
    ],
)
def test_wrong_columns(tmp_path: Path, columns: tuple[str, ...], error: type[Exception], message: str) -> None:
    path = tmp_path / "model.dat"
    np.savetxt(path, np.column_stack([np.arange(2, 9), np.ones(7) * 500, np.ones(7)]))
    with pytest.raises(error, match=message):
        Spectra.from_file(path, columns=columns)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"tt": TT}, "key 'l' is missing; found tt"),
        ({"l": L, "TT": TT}, "unknown key 'TT'"),
        ({"l": L[::2], "tt": TT[::2]}, "steps of 1"),
        ({"l": L[5:], "tt": TT[5:]}, "0, 1 or 2 onwards"),
        ({"l": L, "tt": TT[:-1]}, r"tt has shape \(250,\), l has \(251,\)"),
    ],
)
def test_wrong_npz(tmp_path: Path, content: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "model.npz", **content)
    with pytest.raises(DataError, match=message):
        Spectra.from_file(tmp_path / "model.npz")


def test_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "model.npz").write_bytes(b"not a zip")
    (tmp_path / "model.dat").write_text("1 2 three\n")
    with pytest.raises(DataError, match=r"model\.npz: not a readable npz"):
        Spectra.from_file(tmp_path / "model.npz")
    with pytest.raises(DataError, match=r"model\.dat: not a readable table"):
        Spectra.from_file(tmp_path / "model.dat", columns=("l", "tt", "te"))
    with pytest.raises(DataError, match=r"none\.npz: not a readable npz"):
        Spectra.from_file(tmp_path / "none.npz")


@given(arrays(np.float64, (3, 12), elements=st.floats(-1e3, 1e3)))
def test_a_batch_holds_what_was_stacked(values: np.ndarray) -> None:
    values[:, :2] = 0.0
    models = [Spectra(te=row, pp=row[:5]) for row in values]
    batch = SpectraBatch.stack(models)
    assert len(batch) == 3
    assert batch.l_max == {"TE": 11, "PP": 4}
    for i, model in enumerate(models):
        for name in ("TE", "PP"):
            assert np.array_equal(batch.row(i)[name], model[name])
    assert np.array_equal(batch.take(np.array([2, 0]))["TE"], values[[2, 0]])


def test_a_batch_may_hold_nan_but_not_ragged_rows() -> None:
    batch = SpectraBatch(tt=np.full((2, 5), np.nan))
    assert np.isnan(batch.row(1)["TT"]).all()
    with pytest.raises(DataError, match=r"same number of rows, got \[1, 2\]"):
        SpectraBatch(tt=np.zeros((2, 5)), ee=np.zeros((1, 5)))
    with pytest.raises(DataError, match=r"shape \(n, l_max \+ 1\), got \(5,\)"):
        SpectraBatch(tt=np.zeros(5))
    with pytest.raises(DataError, match="BB is absent"):
        batch["BB"]
    with pytest.raises(DataError, match="at least one model"):
        SpectraBatch.stack([])


def test_pickle_round_trip(fiducial: Spectra) -> None:
    copy = pickle.loads(pickle.dumps(fiducial))
    assert all(np.array_equal(copy[name], fiducial[name]) for name in SPECTRA)
