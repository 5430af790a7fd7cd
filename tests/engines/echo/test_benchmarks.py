"""The four families against what is published of their ingredients, and the reader of the published waveforms."""

from __future__ import annotations

import gzip
import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import ConfigError, DataError, DataTypeError
from sciinf.engines.echo.benchmarks import (
    F_RINGDOWN,
    FAMILIES,
    ROUND_TRIP,
    Barrier,
    analytic_barrier,
    boltzmann_wall_log,
    constant_wall_log,
    damped_wall_log,
    family_waveform,
    read_benchmark_waveform,
)
from sciinf.engines.echo.simulate import optimal_snr

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "data" / "echo"
FIXTURES = ROOT / "tests" / "fixtures" / "echo"
READER = json.loads((FIXTURES / "reader_snr.json").read_text())
WALLS = json.loads((FIXTURES / "walls.json").read_text())
OMEGA_H = 0.40028


@pytest.fixture(scope="module")
def waveform() -> Callable[[str, int], Path]:
    """Path of a published waveform, or a skip."""

    def find(family: str, n: int) -> Path:
        name = f"benchmarks/waveform_{family}_N{n:03d}.dat.gz"
        if not (SHARED / name).exists():
            pytest.skip(f"needs ../shared/data/echo/{name}, which is not distributed with the project")
        return SHARED / name

    return find


@pytest.fixture(scope="module")
def barrier() -> Barrier:
    return Barrier.from_file(ROOT / "data" / "echo" / "barrier_power_reflectivity_chi0.69.dat.gz")


def test_the_ringdown_frequency() -> None:
    assert abs(F_RINGDOWN - READER["f_ringdown"]) < 5e-8


@pytest.mark.parametrize("pairing", ["exact", "reference"])
@pytest.mark.parametrize("family", list(FAMILIES))
def test_the_published_waveforms_have_the_published_snr(waveform: Callable[[str, int], Path], family: str, pairing: Any) -> None:
    read = read_benchmark_waveform(waveform(family, 20), READER["factor"][family], pairing)
    assert FAMILIES[family].factor == READER["factor"][family]
    assert abs(optimal_snr(read, f_max=F_RINGDOWN) - READER[pairing][family]) < READER["tolerance"]
    assert read.n_bin == 5539 // 2 + 1
    assert np.allclose(read.psd, 2.0 * read.duration / 5539, rtol=1e-15)
    assert abs(read.duration / (20 * ROUND_TRIP) - 1.0) < 1e-6


def test_the_pairings_differ_by_more_than_the_tolerance() -> None:
    """Negative control: reading with the reference's pairing fails the figures of the exact one."""
    for family in FAMILIES:
        assert abs(READER["exact"][family] - READER["reference"][family]) > 5 * READER["tolerance"]


@pytest.mark.parametrize("family", ["constant_wall", "damped_wall", "boltzmann_wall", "wide_band"])
def test_the_echoes_run_forward_in_time(waveform: Callable[[str, int], Path], family: str) -> None:
    """In numpy's sign the signal is loud first and fades; read without the conjugation it would grow."""
    read = read_benchmark_waveform(waveform(family, 100), 1.0)
    n = 27697
    for values, first_is_louder in ((read.values, True), (np.conj(read.values), False)):
        power = np.fft.irfft(np.where(read.frequency < F_RINGDOWN, values, 0.0), n=n) ** 2
        assert (power[: n // 4].sum() > power[-(n // 4) :].sum()) == first_is_louder


def test_the_constant_wall_repeats_every_round_trip(waveform: Callable[[str, int], Path]) -> None:
    """The lines of the published wall are 1 / t_d apart, offset 0.83: the power folded by that spacing peaks there."""
    read = read_benchmark_waveform(waveform("constant_wall", 100), 1.0)
    bins = np.arange(1, read.n_bin)
    frequency = bins / read.duration
    inside = (frequency > 0.045) & (frequency < 0.075)
    fold = (frequency[inside] * ROUND_TRIP) % 1.0
    direction = np.sum(np.abs(read.values[bins[inside]]) ** 2 * np.exp(2j * np.pi * fold))
    assert abs(np.angle(direction) / (2.0 * np.pi) % 1.0 - 0.83) < 0.03
    own = family_waveform("constant_wall", 100)
    bins = np.arange(1, own.n_bin)
    frequency = bins / own.duration
    inside = (frequency > 0.045) & (frequency < 0.075)
    direction = np.sum(np.abs(own.values[bins[inside]]) ** 2 * np.exp(2j * np.pi * ((frequency[inside] * ROUND_TRIP) % 1.0)))
    assert abs(np.angle(direction) / (2.0 * np.pi) % 1.0 - 0.83) < 0.03


def test_the_barrier(barrier: Barrier) -> None:
    entry = WALLS["sqrt_barrier"]
    kept = np.exp(-constant_wall_log(entry["omega"])) * np.sqrt(barrier(entry["omega"]))
    assert np.abs(kept - entry["value"]).max() < entry["tolerance"]
    entry = WALLS["resonances"]
    assert np.abs(kept - entry["value"]).max() < entry["tolerance"]
    entry = WALLS["power"]
    assert np.abs(barrier(entry["omega"]) - entry["table"]).max() < entry["tolerance"]
    assert np.abs(analytic_barrier(entry["omega"]) - entry["analytic"]).max() < entry["tolerance"]
    entry = WALLS["superradiance"]
    assert abs(barrier.power.max() - entry["value"]) < entry["tolerance"]
    assert abs(float(barrier(entry["omega"])) - entry["value"]) < entry["tolerance"]
    omega = np.linspace(0.0, 1.0, 2001)
    assert np.abs(barrier(omega) - analytic_barrier(omega)).max() < 0.03
    assert analytic_barrier(omega).max() < 1.0


def test_the_walls() -> None:
    for entry, wall in ((WALLS["damped_wall"], damped_wall_log), (WALLS["boltzmann_wall"], boltzmann_wall_log)):
        for sign in (-1.0, 1.0):
            made = wall(OMEGA_H + sign * np.array(entry["k"]))
            assert np.abs(made - entry["value"]).max() < entry["tolerance"]
    assert float(damped_wall_log(OMEGA_H)) == 0.0284
    assert abs(math.exp(-0.0284) - 0.972) < 1e-5


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize("tabulated", [True, False])
def test_a_family_is_its_sum_of_echoes(family: str, tabulated: bool, barrier: Barrier) -> None:
    """h = Z sum_k X^k written out, and echo k arrives k round trips after the first."""
    made = family_waveform(family, 20, barrier=barrier if tabulated else None)
    n = 5539
    assert made.n_bin == n // 2 + 1
    assert made.duration == n * math.pi
    assert np.all(made.psd == 2.0 * made.duration / n)
    omega = 2.0 * np.pi * made.frequency[1:]
    power = barrier(omega) if tabulated else analytic_barrier(omega)
    reflected = np.exp(-FAMILIES[family].wall_log(omega)) * np.sqrt(power)
    x = reflected * np.exp(-1j * (omega * ROUND_TRIP - 2.0 * np.pi * 0.83))
    slow = FAMILIES[family].source(omega, reflected) * sum(x**k for k in range(20))
    assert np.abs(made.values[1:] - slow).max() < 1e-11 * np.abs(slow).max()
    assert made.values[0] == 0.0
    signal = np.fft.irfft(np.where(made.frequency < F_RINGDOWN, made.values, 0.0), n=n) ** 2
    per = ROUND_TRIP / math.pi
    energy = [signal[int((k - 0.2) * per) : int((k + 0.8) * per)].sum() for k in range(1, 6)]
    assert all(np.diff(energy) < 0.0)


def test_what_grows_is_refused(barrier: Barrier) -> None:
    with pytest.raises(DataError, match=r"boltzmann_wall: the echoes grow, \|X\| = 1\.41\d* at omega = 0\.\d+ per M"):
        family_waveform("boltzmann_wall", 20, barrier=lambda omega: np.full(omega.shape, 2.0))
    with pytest.raises(DataError, match="the echoes grow"):
        family_waveform("constant_wall", 20, barrier=lambda omega: np.where(omega > 0.5, np.nan, 0.5))
    assert barrier(0.36) > 1.0  # superradiance alone is not growth: the wall takes more
    assert family_waveform("damped_wall", 100, barrier=barrier).n_bin == 13849


@pytest.mark.parametrize("n_echoes", [0, -1, 2.0, True, "20"])
def test_wrong_number_of_echoes(n_echoes: Any) -> None:
    with pytest.raises(ConfigError, match="n_echoes must be an integer >= 1"):
        family_waveform("constant_wall", n_echoes)


def test_wrong_family_and_barrier(barrier: Barrier, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'constant_wall'"):
        family_waveform("constant_wal", 20)
    with pytest.raises(DataError, match=r"tabulated for omega = -1 to 1 per M, wanted are 0 to 1\.5"):
        barrier([0.0, 1.5])
    assert not pickle.loads(pickle.dumps(barrier)).power.flags.writeable
    with pytest.raises(DataError, match="at least 4 rows"):
        Barrier([0.0, 1.0], [1.0, 1.0])
    (tmp_path / "b.dat").write_text("1 2 3\n")
    with pytest.raises(DataError, match=r"b\.dat: expected 2 columns"):
        Barrier.from_file(tmp_path / "b.dat")
    with pytest.raises(DataError, match=r"none\.dat: not a readable table"):
        Barrier.from_file(tmp_path / "none.dat")


def rows(n: int = 9, step: float = 0.01) -> list[str]:
    """A small file in FFT order: h = omega + 2 i omega."""
    order = [j if j <= (n - 1) // 2 else j - n for j in range(n)]
    return [f"{j * step!r}\t{j * step!r}{2 * j * step:+.17g}j" if j else "0.\t0" for j in order]


@pytest.mark.parametrize("n", [8, 9])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_small_file(tmp_path: Path, n: int, zipped: bool) -> None:
    """h(-omega) = -h(omega): the exact partner leaves i times the imaginary part, conjugated."""
    text = "\n".join(rows(n)).encode()
    (tmp_path / "w.dat").write_bytes(gzip.compress(text) if zipped else text)
    read = read_benchmark_waveform(tmp_path / "w.dat", 10.0)
    assert abs(read.duration - 2.0 * np.pi / 0.01) < 1e-9
    positive = np.arange((n - 1) // 2 + 1) * 0.01
    assert np.abs(read.values[: len(positive)] - 10.0 * -2j * positive).max() < 1e-15
    assert read.n_bin == n // 2 + 1
    assert read.detector == "w"
    off = read_benchmark_waveform(tmp_path / "w.dat", 10.0, "reference")
    assert np.abs(off.values[1] - 10.0 * np.conj(0.5 * (0.01 + 0.02j + np.conj(-0.02 - 0.04j)))) < 1e-15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [*lines[:4], "0.04", *lines[5:]], r"line 5 is not 'omega <tab> complex h': '0\.04'"),
        (lambda lines: [*lines[:4], "0.04\tx+1j", *lines[5:]], r"line 5 is not .*: '0\.04\\tx\+1j'"),
        (lambda lines: [*lines[:4], "0.04\t1+1j 7", *lines[5:]], "line 5 must hold two finite numbers"),
        (lambda lines: [*lines[:4], "0.04\tnan", *lines[5:]], "line 5 must hold two finite numbers"),
        (lambda lines: lines[:-1], "line 6 is not the next row in FFT order .step 0.01; 8 rows.: '-0.04"),
        (lambda lines: lines[:3] + lines[4:], "line 4 is not the next row in FFT order"),
        (lambda lines: lines[1:], "expected rows from omega = 0 up"),
        (lambda lines: [], "expected rows from omega = 0 up"),
    ],
)
def test_broken_files(tmp_path: Path, change: Callable[[list[str]], list[str]], message: str) -> None:
    (tmp_path / "w.dat").write_text("\n".join(change(rows())))
    with pytest.raises(DataError, match=rf"^w\.dat: {message}"):
        read_benchmark_waveform(tmp_path / "w.dat", 1.0)


def test_unreadable_files_and_options(tmp_path: Path) -> None:
    (tmp_path / "w.dat.gz").write_bytes(gzip.compress("\n".join(rows()).encode())[:-12])
    with pytest.raises(DataError, match=r"^w\.dat\.gz: cannot be read .not a text file, or a truncated gzip"):
        read_benchmark_waveform(tmp_path / "w.dat.gz", 1.0)
    with pytest.raises(DataError, match=r"^none\.dat: cannot be read .no such file"):
        read_benchmark_waveform(tmp_path / "none.dat", 1.0)
    (tmp_path / "w.dat").write_text("\n".join(rows()))
    with pytest.raises(ConfigError, match="did you mean 'reference'"):
        read_benchmark_waveform(tmp_path / "w.dat", 1.0, "referense")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="factor must be positive"):
        read_benchmark_waveform(tmp_path / "w.dat", 0.0)
    with pytest.raises(DataTypeError, match="factor must be a real number"):
        read_benchmark_waveform(tmp_path / "w.dat", "34")  # type: ignore[arg-type]
