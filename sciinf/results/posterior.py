"""What a run gives: weighted samples with their likelihood and prior, the evidence, and what later diagnostics need."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import as_float_array
from sciinf.core.errors import ConfigError, DataError, DataTypeError, nearest_names
from sciinf.core.fingerprint import sha256_of
from sciinf.results.weights import effective_size, log_normalised, systematic_resample, weighted_covariance, weighted_quantile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sciinf.results.summary import Summary

__all__ = ["INTEGER_FIELDS", "LOG_FIELDS", "SCALAR_FIELDS", "STATUSES", "Posterior", "Status"]

Status = Literal["ok", "not_converged", "missed_mode"]
STATUSES: tuple[Status, ...] = ("ok", "not_converged", "missed_mode")
LOG_FIELDS = ("log_weights", "log_likelihood", "log_prior", "birth_log_likelihood", "log_volume")
INTEGER_FIELDS = ("chain", "draw", "n_live", "insertion_rank", "run")
SCALAR_FIELDS = ("log_evidence", "log_evidence_error", "information")
# The order in which arrays enter the content hash. It is part of what "the same posterior" means: never change it.
_HASHED = (
    *("samples", "log_weights", "log_likelihood", "log_prior", "derived", "log_evidence", "log_evidence_error", "information"),
    *("chain", "draw", "birth_log_likelihood", "n_live", "log_volume", "insertion_rank", "run"),
)


def _plain(value: Any) -> Any:
    """JSON form of numpy values inside ``meta``."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


@dataclass(frozen=True, eq=False)
class Posterior:
    """Weighted samples of a posterior, frozen: arrays are read-only copies.

    Parameters
    ----------
    samples : (n, n_dim) float64 array
        Points, columns in the order of ``names``, each in the unit of ``units``; finite.
    log_weights : (n,) float64 array
        ln of the weights, normalised here so that the weights sum to one; -inf for weight zero. All equal for MCMC.
    log_likelihood, log_prior : (n,) float64 array
        ln L and ln prior density at each point; -inf allowed.
    names : tuple of str
        Sampled parameters.
    latex, units : tuple of str
        Labels without dollar signs, and units; the names with escaped underscores, and empty, where not given.
    derived : (n, k) float64 array
        Derived quantities in the order of ``derived_names``; any value, NaN where undefined.
    derived_names, derived_latex : tuple of str
        Their names and labels.
    log_evidence, log_evidence_error, information : float, optional
        ln Z, its one-sigma error and the information H (nats), for nested runs.
    chain, draw : (n,) int64 array, optional
        Walker and step of each point, for MCMC; both or neither.
    birth_log_likelihood : (n,) float64 array, optional
        ln L of the contour inside which the point was drawn, -inf where from the whole prior; for nested runs.
    n_live : (n,) int64 array, optional
        Live points when the point died.
    log_volume : (n,) float64 array, optional
        Expected ln of the prior volume left when the point died.
    insertion_rank : (n,) int64 array, optional
        Rank of the point among the live points when it was born, in [0, n_live); -1 where it has none (first points).
    run : (n,) int64 array, optional
        Which repeat the point comes from.
    status : {"ok", "not_converged", "missed_mode"}
        Whether the run can be trusted as it stands.
    meta : dict
        JSON-able notes. Used here where present: ``supports`` ({name: [low, high]}, None for an infinite end) by exports and plots.

    Raises
    ------
    DataError
        If a shape, a length, a name or a value does not fit; the message names the field, what it needs and what came.

    Notes
    -----
    Statistics (`mean`, `std`, `quantile`, `covariance`) are of the sampled parameters in the order of ``names``; `column` gives any
    single quantity, derived ones too. Points of zero weight never enter a statistic.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [2.0]])
    >>> posterior = Posterior(x, np.zeros(3), np.array([-1.0, 0.0, -1.0]), np.zeros(3), ("x",))
    >>> posterior.mean(), posterior.std(), posterior.best
    (array([1.]), array([1.]), 1)
    """

    samples: NDArray[np.float64]
    log_weights: NDArray[np.float64]
    log_likelihood: NDArray[np.float64]
    log_prior: NDArray[np.float64]
    names: tuple[str, ...]
    latex: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    derived: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    derived_names: tuple[str, ...] = ()
    derived_latex: tuple[str, ...] = ()
    log_evidence: float | None = None
    log_evidence_error: float | None = None
    information: float | None = None
    chain: NDArray[np.int64] | None = None
    draw: NDArray[np.int64] | None = None
    birth_log_likelihood: NDArray[np.float64] | None = None
    n_live: NDArray[np.int64] | None = None
    log_volume: NDArray[np.float64] | None = None
    insertion_rank: NDArray[np.int64] | None = None
    run: NDArray[np.int64] | None = None
    status: Status = "ok"
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_names()
        self._check_samples()
        for name in LOG_FIELDS:
            if getattr(self, name) is not None or name in LOG_FIELDS[:3]:
                self._set(name, self._log_column(name))
        if not np.any(np.isfinite(self.log_weights)):
            raise DataError("log_weights are all -inf: no point carries weight")
        self._set("log_weights", log_normalised(self.log_weights))
        for name in INTEGER_FIELDS:
            if getattr(self, name) is not None:
                self._set(name, self._integer_column(name))
        if (self.chain is None) != (self.draw is None):
            raise DataError("chain and draw must be given together: the walker and the step of each point")
        for name in SCALAR_FIELDS:
            self._set(name, self._scalar(name))
        if self.status not in STATUSES:
            raise DataError(f"status must be one of {', '.join(STATUSES)}, got {self.status!r}")
        self._set("meta", self._json_copy())

    def _set(self, name: str, value: Any) -> None:
        if isinstance(value, np.ndarray):
            value = np.ascontiguousarray(value)
            value.flags.writeable = False
        object.__setattr__(self, name, value)

    def _check_names(self) -> None:
        for name in ("names", "latex", "units", "derived_names", "derived_latex"):
            given = getattr(self, name)
            if isinstance(given, str) or not all(isinstance(item, str) for item in given):
                raise DataError(f"{name} must be a sequence of strings, got {given!r}")
            self._set(name, tuple(given))
        for text, reference, default in (
            ("latex", self.names, [item.replace("_", r"\_") for item in self.names]),
            ("units", self.names, [""] * len(self.names)),
            ("derived_latex", self.derived_names, [item.replace("_", r"\_") for item in self.derived_names]),
        ):
            if not getattr(self, text):
                self._set(text, tuple(default))
            if len(getattr(self, text)) != len(reference):
                raise DataError(f"{text} must have one entry for each of {list(reference)}, got {list(getattr(self, text))}")
        every = self.names + self.derived_names
        if not self.names or len(set(every)) != len(every):
            raise DataError(f"names and derived_names must be at least one name and differ, got {list(every)}")

    def _check_samples(self) -> None:
        samples = as_float_array("samples", self.samples)
        if samples.ndim != 2 or samples.shape[1] != len(self.names) or not len(samples):
            raise DataError(f"samples must have shape (n, {len(self.names)}) for {list(self.names)} with n >= 1, got {samples.shape}")
        if (bad := np.argwhere(~np.isfinite(samples))).size:
            row, column = bad[0]
            raise DataError(f"samples must be finite; samples[{row}] has {self.names[column]} = {samples[row, column]}")
        self._set("samples", samples)
        derived = as_float_array("derived", self.derived)
        if derived.size == 0 and not self.derived_names:
            derived = np.empty((len(samples), 0))
        if derived.shape != (len(samples), len(self.derived_names)):
            raise DataError(f"derived must have shape ({len(samples)}, {len(self.derived_names)}), got {derived.shape}")
        self._set("derived", derived)

    def _log_column(self, name: str) -> NDArray[np.float64]:
        """A float column that may hold -inf, but neither NaN nor +inf."""
        column = as_float_array(name, getattr(self, name))
        if column.shape != (len(self.samples),):
            raise DataError(f"{name} must have shape ({len(self.samples)},), got {column.shape}")
        if (bad := np.flatnonzero(np.isnan(column) | (column == np.inf))).size:
            raise DataError(f"{name} must be finite or -inf; {name}[{bad[0]}] = {column[bad[0]]} ({bad.size} such values)")
        return column

    def _integer_column(self, name: str) -> NDArray[np.int64]:
        raw = np.asarray(getattr(self, name))
        if raw.dtype.kind not in "iu":
            raise DataTypeError(f"{name} must hold integers, got dtype {raw.dtype}")
        if raw.shape != (len(self.samples),):
            raise DataError(f"{name} must have shape ({len(self.samples)},), got {raw.shape}")
        if (bad := np.flatnonzero(raw < (-1 if name == "insertion_rank" else 0))).size:
            raise DataError(f"{name} must not be negative; {name}[{bad[0]}] = {raw[bad[0]]}")
        return np.array(raw, dtype=np.int64)

    def _scalar(self, name: str) -> float | None:
        value = getattr(self, name)
        if value is None:
            return None
        number = float(value)
        if np.isnan(number) or number == np.inf:
            raise DataError(f"{name} must be None or a real number, got {number}")
        return number

    def _json_copy(self) -> dict[str, Any]:
        try:
            copy = json.loads(json.dumps(dict(self.meta), default=_plain))
        except (TypeError, ValueError) as error:
            raise DataError(f"meta must hold what JSON holds (numbers, strings, lists, dictionaries): {error}") from error
        return dict(copy)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # numpy hands read-only arrays back writable after unpickling
        for name, value in state.items():
            self._set(name, value)

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def n_dim(self) -> int:
        """Number of sampled parameters."""
        return len(self.names)

    @property
    def is_mcmc(self) -> bool:
        """Whether the points are steps of chains."""
        return self.chain is not None

    @property
    def is_weighted(self) -> bool:
        """Whether the weights differ."""
        return bool(np.any(self.log_weights != self.log_weights[0]))

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Weights (n,) that sum to one."""
        weights = np.exp(self.log_weights)
        weights /= np.sum(weights)
        weights.flags.writeable = False
        return weights

    @property
    def best(self) -> int:
        """Index of the largest ln L + ln prior."""
        return int(np.argmax(self.log_likelihood + self.log_prior))

    @cached_property
    def ess(self) -> float:
        """Effective number of samples: Kish's for weights, divided by the longest autocorrelation time for chains."""
        from sciinf.results.diagnostics import slowest_autocorrelation_time

        size = effective_size(self.log_weights)
        return size / max(1.0, slowest_autocorrelation_time(self)) if self.is_mcmc else size

    def column(self, name: str) -> NDArray[np.float64]:
        """Values (n,) of one sampled or derived quantity.

        Raises
        ------
        ConfigError
            If there is none of that name.
        """
        if name in self.names:
            return self.samples[:, self.names.index(name)]
        if name in self.derived_names:
            return self.derived[:, self.derived_names.index(name)]
        raise ConfigError(f"the posterior has no quantity '{name}': {nearest_names(name, self.names + self.derived_names)}")

    def mean(self) -> NDArray[np.float64]:
        """Mean (n_dim,)."""
        return np.asarray(self.weights @ self.samples)

    def std(self) -> NDArray[np.float64]:
        """Standard deviation (n_dim,), with n - 1 for equal weights."""
        return np.sqrt(np.diag(self.covariance()))

    def covariance(self) -> NDArray[np.float64]:
        """Covariance (n_dim, n_dim)."""
        return weighted_covariance(self.samples, self.weights)

    def quantile(self, probability: ArrayLike) -> NDArray[np.float64]:
        """Quantiles at ``probability``: (n_dim,) for a number, (k, n_dim) for k numbers.

        Raises
        ------
        ConfigError
            If a probability lies outside [0, 1].
        """
        wanted = np.asarray(probability, dtype=np.float64)
        if not np.all((wanted >= 0.0) & (wanted <= 1.0)):
            raise ConfigError(f"probability must lie in [0, 1], got {probability!r}")
        weights = self.weights if self.is_weighted else None
        return np.stack([weighted_quantile(column, wanted, weights) for column in self.samples.T], axis=-1)

    def equal_weight_indices(self, rng: np.random.Generator, size: int | None = None) -> NDArray[np.int64]:
        """Indices of points of equal weight: all in order for equal weights, else ``size`` (default n) systematically resampled.

        Raises
        ------
        ConfigError
            If ``size`` is not positive.
        """
        if size is not None and size < 1:
            raise ConfigError(f"size must be at least 1, got {size}")
        if size is None and not self.is_weighted:
            return np.arange(len(self), dtype=np.int64)
        return systematic_resample(self.weights, len(self) if size is None else size, rng)

    def equal_weight(self, rng: np.random.Generator, size: int | None = None, *, derived: bool = False) -> NDArray[np.float64]:
        """Samples of equal weight (m, n_dim), or (m, n_dim + k) with the derived quantities behind; see `equal_weight_indices`."""
        index = self.equal_weight_indices(rng, size)
        return np.hstack([self.samples[index], self.derived[index]]) if derived else self.samples[index]

    def summary(self, *, domain: Mapping[str, tuple[float, float]] | None = None) -> Summary:
        """Table of means, intervals, effective numbers and errors; with ``domain``, the parameters that lean on its edges."""
        from sciinf.results.summary import summarise

        return summarise(self, domain=domain)

    def content_hash(self) -> str:
        """sha256 over names and numeric arrays in a fixed order; labels, units, status and meta do not enter."""
        return sha256_of("posterior", 1, self.names, self.derived_names, *(getattr(self, name) for name in _HASHED))

    def __repr__(self) -> str:
        evidence = "" if self.log_evidence is None else f", log_evidence={self.log_evidence:.4g}"
        return f"Posterior({len(self)} samples of {', '.join(self.names)}{evidence}, status={self.status})"
