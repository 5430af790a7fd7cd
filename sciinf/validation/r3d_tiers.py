"""How much each tier of the r3d suite runs."""

from __future__ import annotations

from dataclasses import dataclass

from sciinf.validation.r3d_coverage import Sizes
from sciinf.validation.r3d_reference import EVIDENCE

__all__ = ["FULL", "LONG", "QUICK", "Scale"]


@dataclass(frozen=True)
class Scale:
    """How much a tier runs; 0 leaves a part out.

    Parameters
    ----------
    coverage : tuple of (units, values per unit or their range, replicas)
        Of the first design; the first row decides.
    clusters, few_clusters, nullity, power, skewed, gini, fuzzy : int
        Replicas.
    bandwidths : int
        Replicas per size.
    contrast : int
        Replicas.
    evidence : tuple of str
        Stored statistics that both samplers run on.
    n_live : int
        Live points there.
    intervals : int
        Replicas of the coverage table of the likelihood's forms, per design.
    ranks, pipeline : int
        Replicas of the likelihood on its own law, and from raw data.
    width : float
        By which the control's posterior is too wide.
    gaussian : bool
        Whether the control of a normal for a t runs.
    values : int
        Values extracted.
    repeats : int
        Extractions of a tenth of them, for the time per value.
    """

    coverage: tuple[tuple[int, Sizes, int], ...]
    clusters: int
    few_clusters: int
    nullity: int
    power: int
    skewed: int
    gini: int
    fuzzy: int
    bandwidths: int
    contrast: int
    evidence: tuple[str, ...]
    n_live: int
    intervals: int
    ranks: int
    pipeline: int
    width: float
    gaussian: bool
    values: int
    repeats: int


QUICK = Scale(
    coverage=((500, 100, 200),), clusters=0, few_clusters=200, nullity=100, power=100, skewed=0, gini=80, fuzzy=100, bandwidths=20,
    contrast=8, evidence=("t, HC2, shift", "Gaussian, HC0, location_scale"), n_live=300, intervals=0, ranks=100, pipeline=60, width=1.6,
    gaussian=False, values=10_000_000, repeats=0,
)  # fmt: skip
FULL = Scale(
    coverage=((500, 100, 2000), (200, 50, 1000), (1000, 100, 1000), (2000, 100, 500), (500, (20, 200), 1000)), clusters=300,
    few_clusters=2000, nullity=1000, power=1000, skewed=100, gini=400, fuzzy=1000, bandwidths=40, contrast=40,
    evidence=tuple(EVIDENCE), n_live=1000, intervals=1000, ranks=300, pipeline=400, width=1.3, gaussian=True, values=100_000_000, repeats=7,
)  # fmt: skip
LONG = FULL
