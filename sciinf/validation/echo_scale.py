"""How much each tier of the echo suite runs."""

from __future__ import annotations

from dataclasses import dataclass

from sciinf.validation.echo_checks import Phase

__all__ = ["FULL", "LONG", "QUICK", "Scale"]

_FAMILIES = ("constant_wall", "damped_wall", "boltzmann_wall", "wide_band")


@dataclass(frozen=True)
class Scale:
    """How much a tier runs.

    Parameters
    ----------
    draws : int
        Of the oracle, per duration, noise and phase.
    durations : tuple of int
        Of the oracle, s.
    scan_seeds, scan_rows : int
        Of the amplitude scan.
    injections : tuple of (duration, phase, combs, noise runs)
        Searches.
    n_live : int
        Of the searches.
    evidence : tuple of (combs, phases, points of the quadrature, seeds of the scatter)
    replicas : dict
        Replicas of the calibration by phase.
    samplers : int
        Combs sampled twice.
    benchmarks : tuple of (families, N, runs, phases)
    pairs : int
        Networks.
    slides : tuple of (T, phase, slides or None for all)
    controls : int
        Replicas of the calibration's controls; 0 for those without a campaign only.
    wide_controls : int
        Replicas with a PSD of 1.69 times the true one.
    hard : int
        Runs of each set that is easily missed.
    needle, nested_needle : int
        Seeds of the published comb over the whole prior: importance sampling, and nested runs beside it. The latter are in "long" alone:
        they cost minutes, their own scatter hides all but gross faults, and "full" asks the same of them on narrower priors.
    quiet : int
        Noise runs of the benchmarks, for every N and phase.
    scanned : tuple of int
        N of the benchmarks with scans beside. At N = 100 a usual and an exhaustive scan take minutes a run: in "long", whose hard sets ask
        the same of a hundred runs.
    """

    draws: int
    durations: tuple[int, ...]
    scan_seeds: int
    scan_rows: int
    injections: tuple[tuple[int, Phase, int, int], ...]
    n_live: int
    evidence: tuple[int, tuple[Phase, ...], int, int]
    replicas: dict[Phase, int]
    samplers: int
    benchmarks: tuple[tuple[tuple[str, ...], int, int, tuple[Phase, ...]], ...]
    pairs: int
    slides: tuple[tuple[float, Phase, int | None], ...]
    controls: int = 0
    wide_controls: int = 0
    hard: int = 0
    needle: int = 0
    nested_needle: int = 0
    quiet: int = 0
    scanned: tuple[int, ...] = (20,)


QUICK = Scale(
    50, (4,), 20, 2, ((12, "mode", 1, 0),), 300, (1, ("mode",), 2**16, 0), {"mode": 30}, 1, ((("constant_wall",), 20, 1, ("mode",)),), 0,
    ((2.0, "mode", 2),),
)  # fmt: skip
FULL = Scale(
    500, (1, 4, 12, 52), 200, 6, ((12, "mode", 4, 4), (1, "mode", 4, 4)), 500, (3, ("mode", "bin"), 2**19, 10), {"mode": 300}, 3,
    ((_FAMILIES, 20, 2, ("mode", "bin")), (("constant_wall", "wide_band"), 100, 3, ("mode", "bin"))), 10,
    ((2.0, "mode", None), (2.0, "bin", None)), 100, needle=8,
)  # fmt: skip
LONG = Scale(
    500, (1, 4, 12, 52), 200, 6,
    tuple((duration, phase, 20, 20) for duration in (1, 2, 3, 4, 8, 12, 24, 52) for phase in ("mode", "bin")), 1000,
    (3, ("mode", "bin"), 2**19, 10),
    {"mode": 300, "bin": 300, "whittle": 300}, 3,
    ((_FAMILIES, 20, 100, ("mode", "bin")), (_FAMILIES, 100, 100, ("mode", "bin")), (_FAMILIES, 150, 100, ("mode", "bin"))), 10,
    ((2.0, "mode", None), (2.0, "bin", None), (4.0, "mode", None), (4.0, "bin", None)), 100, 300, 100, 8, 8, 50, (20, 100, 150),
)  # fmt: skip
