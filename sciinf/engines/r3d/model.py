"""Regression discontinuity with a distribution as each unit's outcome: the data, and how an effect curve is fitted to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import ConfigError, DataError, shown
from sciinf.engines.r3d.bandwidth import BandwidthInfo
from sciinf.engines.r3d.columns import FrameColumns, as_labels, columns_of, real_column, unit_of
from sciinf.engines.r3d.covariance import check_cov_type
from sciinf.engines.r3d.data import RaggedSample, UnitQuantiles, join_units, named_as
from sciinf.engines.r3d.design import Design
from sciinf.engines.r3d.fitting import estimate
from sciinf.engines.r3d.local_polynomial import Side
from sciinf.engines.r3d.results import R3DResults
from sciinf.engines.r3d.selection import select
from sciinf.engines.r3d.settings import CovType, R3DSettings

__all__ = ["R3D"]

FloatArray = NDArray[np.float64]

_SAME_LEVEL = 1e-12
_UNITS = "the table of units"


@dataclass(frozen=True, eq=False)
class R3D:
    """Data of a discontinuity design whose outcome is a sample of values in each unit.

    Parameters
    ----------
    x : (n,) float64 array
        Running variable of each unit.
    outcomes : RaggedSample, UnitQuantiles or list of (n_i,) arrays
        Values of each unit, or their quantiles: in the order of ``x`` where they have no labels of their own (a list has none), else joined
        to ``labels``.
    cutoff : float
        Where treatment starts, unit of ``x``; a unit exactly there is treated.
    treatment : (n,) array, optional
        Share treated in [0, 1]; makes the design fuzzy.
    cluster : (n,) array of labels, optional
        Units that are not independent.
    settings : R3DSettings
        Options.
    labels : (n,) array of integers or text, optional
        The unit that each value of ``x`` (and of treatment and cluster) belongs to. Outcomes that name their units are put into this order,
        whatever order they come in: a label is the one thing that says what belongs to what. Those that do not take these names.

    Raises
    ------
    DataTypeError
        If a column does not hold real numbers, or labels are text on one side and integers on the other.
    DataError
        If lengths differ, a value is missing or not finite, a side has no unit or, with clusters, fewer than two of them, the treatment is
        outside [0, 1] or constant, or the levels of the settings are not among those of given quantiles. If a unit is among ``labels``
        or the outcomes only, either way; or if outcomes name their units otherwise than 0, 1, ..., n - 1, in this order, and ``labels`` is
        left out: samples made from a table come sorted by label ("s10" before "s2"), and nothing would tell that ``x`` is not.

    Notes
    -----
    The effect is the local average quantile treatment effect, tau(q) = lim E[Q(q) given X from above] - lim from below at the cutoff;
    fuzzy, over the jump of the treatment: definitions 1 and 2 of Van Dijcke, arXiv:2504.03992.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.uniform(-1.0, 1.0, 300)
    >>> outcomes = [rng.normal(u + 2.0 * (u >= 0.0), 1.0, 40) for u in x]
    >>> fit = R3D(x, outcomes, settings=R3DSettings(q_grid=(0.25, 0.5, 0.75))).fit(bandwidth=0.6)
    >>> bool(np.all(np.abs(fit.params - 2.0) < 4.0 * fit.bse))
    True
    """

    x: FloatArray
    outcomes: RaggedSample | UnitQuantiles
    cutoff: float = 0.0
    treatment: FloatArray | None = None
    cluster: NDArray[Any] | None = None
    settings: R3DSettings = R3DSettings()
    labels: NDArray[Any] | None = None
    design: Design = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.settings, R3DSettings):
            raise ConfigError(f"R3D: settings must be R3DSettings, got {shown(self.settings)}")
        outcomes: Any = self.outcomes
        if not isinstance(outcomes, (RaggedSample, UnitQuantiles)):
            outcomes = RaggedSample.from_list(outcomes)
        outcomes = named_as(outcomes, self.labels)
        design = Design(self.x, self.cutoff, self.treatment, self.cluster, outcomes.labels)
        checked = {name: getattr(design, name) for name in ("x", "cutoff", "treatment", "cluster", "labels")}
        for name, value in (checked | {"outcomes": outcomes, "design": design}).items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_frame(
        cls, observations: Any, units: Any, cutoff: float = 0.0, *, columns: FrameColumns | None = None, settings: R3DSettings | None = None
    ) -> R3D:
        """Model of two tables, joined by the units' labels: outcomes, and one row per unit. Rows may come in any order.

        Parameters
        ----------
        observations : data frame or dict of arrays, RaggedSample or UnitQuantiles
            One row per value, with columns ``columns.unit``, ``columns.value`` and, where named, ``columns.weight``; or a labelled sample,
            or what `extract_quantiles` returns.
        units : data frame or dict of arrays
            Columns ``columns.unit``, ``columns.running_variable`` and, where named, ``columns.treatment`` and ``columns.cluster``.
        cutoff : float
            Unit of the running variable.
        columns : FrameColumns, optional
            Names of the columns.
        settings : R3DSettings, optional
            Options.

        Raises
        ------
        ConfigError
            If a column is missing; names the nearest.
        DataError, DataTypeError
            If a unit is in one table only (either way) or twice in ``units``, or as the class; names the column.
        """
        columns = FrameColumns() if columns is None else columns
        if not isinstance(columns, FrameColumns):
            raise ConfigError(f"R3D: columns must be FrameColumns, got {shown(columns)}")
        wide = columns_of(units, "units", columns.of_units)
        labels = as_labels(f"units['{columns.unit}']", wide["unit"])
        if isinstance(observations, (RaggedSample, UnitQuantiles)):
            outcomes: Any = observations
        else:
            outcomes = RaggedSample.from_long(**_checked_rows(observations, columns))
        outcomes = join_units(outcomes, labels, _UNITS)
        numbers = {"running variable": columns.running_variable, "treatment": columns.treatment}
        for role, name in numbers.items():
            if name is not None:
                wide[role] = real_column(f"{role} (units['{name}'])", wide[role], length=len(labels), where=unit_of(labels))
        treatment, cluster = wide.get("treatment"), wide.get("cluster")
        return cls(wide["running variable"], outcomes, cutoff, treatment, cluster, settings or R3DSettings(), labels)

    @classmethod
    def from_quantiles(
        cls, x: ArrayLike, quantiles: ArrayLike, counts: ArrayLike | None = None, *, cutoff: float = 0.0,
        treatment: ArrayLike | None = None, cluster: ArrayLike | None = None, settings: R3DSettings | None = None,
        labels: ArrayLike | None = None,
    ) -> R3D:  # fmt: skip
        """Model of quantiles (n, n_q) at the levels of the settings, in the order of ``x``; ``counts`` (n,) are the units' sizes, if known.

        Raises
        ------
        DataError, DataTypeError
            If a row is not nondecreasing, a count is no positive integer, or as the class.
        """
        settings = settings or R3DSettings()
        table = UnitQuantiles(None, settings.levels, quantiles, counts, rule=settings.quantile_rule)  # type: ignore[arg-type]
        return cls(x, table, cutoff, treatment, cluster, settings, labels)  # type: ignore[arg-type]

    @cached_property
    def quantiles(self) -> FloatArray:
        """Quantiles of each unit at the levels of the settings, (n, n_q), outcome's unit."""
        levels = self.settings.levels
        if isinstance(self.outcomes, RaggedSample):
            return self.outcomes.quantiles(levels, self.settings.quantile_rule)
        if self.outcomes.rule != self.settings.quantile_rule:
            raise ConfigError(
                f"R3D: the quantiles given are of the rule '{self.outcomes.rule}', the settings ask for '{self.settings.quantile_rule}'"
            )
        places = np.clip(np.searchsorted(self.outcomes.q_grid, levels - _SAME_LEVEL), 0, len(self.outcomes.q_grid) - 1)
        absent = np.abs(self.outcomes.q_grid[places] - levels) > _SAME_LEVEL
        if absent.any():
            raise DataError(f"the quantiles given do not hold the levels {', '.join(f'{q:g}' for q in levels[absent][:5])} of the settings")
        return np.ascontiguousarray(self.outcomes.quantiles[:, places])

    def sides(self) -> tuple[Side, Side]:
        """Plus and minus side of the cutoff."""
        return self.design.sides

    def select_bandwidth(
        self,
        bandwidth: str | float | ArrayLike = "imse",
        bandwidth_den: float | None = None,
        regularise: bool = True,
        coverage_rule: bool = False,
    ) -> BandwidthInfo:
        """Bandwidths of outcome and, in a fuzzy design, of treatment.

        Parameters
        ----------
        bandwidth : {"imse", "mse", "rot"}, float or (n_q,) array
            "imse": one that minimises the error integrated over levels. "mse": one per level (method "simple"). "rot": 1.06 sd n^(-1/5).
            Or numbers, in the unit of the running variable.
        bandwidth_den : float, optional
            Of the treatment. Default: by the same rule; where one number is given for the outcome, that number.
        regularise : bool
            Add the variance of the estimated bias to its square: without it the optimum diverges where both sides curve alike.
        coverage_rule : bool
            Shrink a chosen bandwidth to the rate that is best for coverage.

        Raises
        ------
        ConfigError
            If the rule is not known or does not fit the method, or a number is not positive.
        DataError
            If a side has too few units for the estimate.
        """
        return select(self, bandwidth, bandwidth_den, regularise, coverage_rule)

    def fit(
        self, bandwidth: str | float | ArrayLike = "imse", bandwidth_den: float | None = None, cov_type: CovType | None = None,
        regularise: bool = True, coverage_rule: bool = False,
    ) -> R3DResults:  # fmt: skip
        """Estimate the effect curve.

        Parameters
        ----------
        bandwidth, bandwidth_den, regularise, coverage_rule
            See `select_bandwidth`. One number for ``bandwidth`` is the treatment's as well, unless ``bandwidth_den`` is given.
        cov_type : {"HC0", "HC2", "HC3", "CR0", "CR1"}, optional
            Covariance. Default "HC3", with clusters "CR1".

        Returns
        -------
        R3DResults

        Raises
        ------
        ConfigError
            If options do not fit; see also `select_bandwidth`.
        DataError
            If fewer than p + 2 units of a side have weight at some level, the design is singular, a unit determines its own fit
            (HC2, HC3), or the treatment does not jump.

        Warns
        -----
        R3DWarning
            If units are too small for their number, the running variable has few distinct values, the first stage is weak, or the
            bandwidth is cut off at the data's range.
        """
        settings = self.settings
        cov = check_cov_type(cov_type, clustered=self.cluster is not None, compat=settings.compat is not None)
        return estimate(self, self.select_bandwidth(bandwidth, bandwidth_den, regularise, coverage_rule), cov)


def _checked_rows(observations: Any, columns: FrameColumns) -> dict[str, NDArray[Any]]:
    """Columns of the table of observations as `RaggedSample.from_long` takes them; messages name the user's columns."""
    long = columns_of(observations, "observations", columns.of_observations)
    unit = as_labels(f"observations['{columns.unit}']", long["unit"])
    found: dict[str, NDArray[Any]] = {"unit": unit}
    for role, name, key in (("value", columns.value, "values"), ("weight", columns.weight, "weights")):
        if role in long:
            found[key] = real_column(f"observations['{name}']", long[role], length=len(unit), where=unit_of(unit))
    return found
