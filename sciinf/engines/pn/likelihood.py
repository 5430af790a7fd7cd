"""The engine: the likelihood of an exponential family's theta, its normaliser exact or from frozen draws."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import finite_array
from sciinf.core.engine import CompiledLikelihood
from sciinf.core.errors import ConfigError, ConvergenceError, DataError, DataTypeError, SciinfError, SciinfWarning, shown
from sciinf.core.fingerprint import sha256_of
from sciinf.core.joint_priors import Joint
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.engines.pn import partition_kernels as kernels
from sciinf.engines.pn.anchor import Anchor
from sciinf.engines.pn.data import SufficientStatistics
from sciinf.engines.pn.family import ExponentialFamily
from sciinf.engines.pn.likelihood_settings import LikelihoodSettings
from sciinf.engines.pn.mixture import Mixture
from sciinf.engines.pn.model import ExponentialFamilyModel, parameter_names
from sciinf.engines.pn.partition import PackedPartition, is_exact, packed_exact, packed_rows
from sciinf.engines.pn.references import Placement, check_hull, extended, placed
from sciinf.engines.pn.whitened import WhitenedBox

if TYPE_CHECKING:
    from sciinf.engines.pn.model import ExponentialFamilyResults

__all__ = ["ExponentialFamilyLikelihood"]

FloatArray = NDArray[np.float64]

_SHIFT = 0.05  # of a posterior's standard deviation, from which on a displacement by draws is told


@dataclass(frozen=True, eq=False)
class ExponentialFamilyLikelihood:
    """ln L of theta given observations of an exponential family.

    Parameters
    ----------
    family : ExponentialFamily
    data : (n,) or (n, dim) float64 array, or SufficientStatistics
        Observations; what is kept of them is `SufficientStatistics`, which is taken as it is where ``anchor`` is given.
    settings : LikelihoodSettings
    anchor : Anchor, optional
        Estimate and box; by default from a fit to ``data``.
    mixture : Mixture, optional
        Draws of another engine of this family.
    record : mapping, optional
        `PNResult.to_dict` of the fit, which goes into ``Posterior.meta``.

    Raises
    ------
    ConfigError
        If psi is wanted exactly and is not known so.
    DataError
        If the data are malformed or no maximum of the likelihood exists.
    ConvergenceError
        If the draws do not cover the box, or the data's mean lies outside their hull.

    Warns
    -----
    SciinfWarning
        If the draws displace a posterior by more than a twentieth of its standard deviation.

    Notes
    -----
    ln L = n [theta.mean(T) - psi(theta)] + sum log h(x_i): the data enter through three numbers, so a call costs the same at any n. Where
    psi is not known exactly it is that of frozen draws (`Mixture`); its error is multiplied by n and displaces the posterior by
    sqrt(n / S_eff) standard deviations in each parameter (derived here), the derived quantity ``mc_shift``. Far from all references an
    average of exponentials is too low and ln L too high: with fewer than ``ess_min`` effective draws it is NaN.

    Examples
    --------
    >>> from sciinf.engines.pn import families
    >>> engine = ExponentialFamilyLikelihood(families.Exponential(), [0.5, 1.5, 1.0])
    >>> engine.parameters, engine.log_likelihood(np.array([-1.0]))
    (('theta_1',), -3.0)
    """

    family: ExponentialFamily
    data: Any
    settings: LikelihoodSettings = LikelihoodSettings()
    anchor: Anchor | None = None
    mixture: Mixture | None = field(default=None, repr=False)
    record: Mapping[str, Any] | None = field(default=None, repr=False)
    _partition: PackedPartition | None = field(init=False, repr=False)
    _packed: CompiledLikelihood | None = field(init=False, repr=False)

    derived_names = ("ess", "mc_shift", "kl_to_mle")

    def __post_init__(self) -> None:
        if not isinstance(self.family, ExponentialFamily):
            raise DataTypeError(f"ExponentialFamilyLikelihood: family must be an ExponentialFamily, got {shown(self.family)}")
        if not isinstance(self.settings, LikelihoodSettings):
            raise ConfigError(f"ExponentialFamilyLikelihood: settings must be LikelihoodSettings, got {shown(self.settings)}")
        if self.anchor is None:
            if isinstance(self.data, SufficientStatistics):
                raise ConfigError("ExponentialFamilyLikelihood: sufficient statistics need an anchor: give the observations")
            fit = ExponentialFamilyModel(self.family, self.data).fit(self.settings.seed)
            self._set(data=fit.model.sufficient(), anchor=Anchor.of(fit))
        elif not isinstance(self.data, SufficientStatistics):
            self._set(data=SufficientStatistics.of(self.family, self.data))
        exact = self._chosen()
        if not exact and self.mixture is None:
            self._set(mixture=self._drawn())
            self._tell_shift()
        if self.mixture is not None:
            check_hull(self.mixture, self.data.mean, self.family.names or ())
        partition = packed_exact(self.family) if exact else self._of_mixture()
        self._set(_partition=partition, _packed=None if partition is None else self._pack(partition))

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of_fit(cls, fit: ExponentialFamilyResults, settings: LikelihoodSettings | None = None) -> ExponentialFamilyLikelihood:
        """The likelihood of a fit's data, with the criterion's result for ``Posterior.meta``."""
        try:
            record: dict[str, Any] = fit.pn().to_dict()
        except (SciinfError, NotImplementedError) as error:
            record = {"unavailable": str(error)}
        return cls(fit.model.family, fit.model.sufficient(), settings or LikelihoodSettings(), Anchor.of(fit), record=record)

    def _chosen(self) -> bool:
        """Whether psi is exact."""
        if self.settings.partition == "importance":
            return False
        possible = is_exact(self.family)
        if self.settings.partition == "exact" and not possible:
            raise ConfigError(
                f"pn: psi of {type(self.family).__name__} over {self.family.support} is known in no exact way: take partition "
                "'importance' or 'auto'"
            )
        return possible

    @property
    def _place(self) -> Anchor:
        assert self.anchor is not None
        return self.anchor

    def _drawn(self) -> Mixture:
        place = self._place
        psi = self.family.log_partition(place.centre) if is_exact(self.family) else 0.0
        return placed(self.family, Placement(place.centre, place.low, place.high), self.data.n, self.settings, psi)

    def _tell_shift(self) -> None:
        assert self.mixture is not None
        size = float(self.mixture.effective(self._place.centre[None, :])[0])
        shift = math.sqrt(self.data.n / size)
        if shift > _SHIFT * (1.0 + 1e-9):
            drawn = float(self.mixture.sizes.sum())
            warnings.warn(
                f"pn: {drawn:,.0f} draws of x, S_eff = {size:,.0f} at the estimate, displace the posterior of n = {self.data.n:,} "
                f"observations by mc_shift = {shift:.3f} of its standard deviation in each parameter. "
                f"n_draws = {math.ceil(drawn * (shift / _SHIFT) ** 2):,} would hold it at {_SHIFT}",
                SciinfWarning,
                stacklevel=2,
            )

    def _of_mixture(self) -> PackedPartition:
        assert self.mixture is not None
        mixture = self.mixture
        return packed_rows(mixture.rows, mixture.log_weights, mixture.counts, ess_min=self.settings.ess_min, kept=mixture.kept)

    def _pack(self, partition: PackedPartition) -> CompiledLikelihood:
        """The kernel with its numbers."""
        p, place = self.family.p, self._place
        floats = np.concatenate([self.data.mean, [self.data.log_base], place.centre, place.root.ravel(), partition.constants])
        at, whitened = len(floats) - len(partition.constants), int(self._whitened)
        ints = np.array([self.data.n, p, partition.route, whitened, at, partition.n_rows], dtype=np.int64)
        return CompiledLikelihood(kernels.log_likelihood, floats, ints, p + partition.work)

    @property
    def _whitened(self) -> bool:
        return self.settings.parametrise == "whitened"

    @property
    def parameters(self) -> tuple[str, ...]:
        """theta by the family's names, see `parameter_names`; phi_1, phi_2, ... where whitened."""
        if self._whitened:
            return tuple(f"phi_{i + 1}" for i in range(self.family.p))
        return parameter_names(self.family)

    @property
    def is_exact(self) -> bool:
        """Whether psi is exact, and not from draws."""
        return self.mixture is None

    def _rows(self, thetas: ArrayLike) -> FloatArray:
        values = np.array(thetas, dtype=np.float64, order="C")
        if values.ndim not in (1, 2) or values.shape[-1] != self.family.p:
            raise DataError(f"pn: theta must be ({', '.join(self.parameters)}) of shape ({self.family.p},), got shape {values.shape}")
        return values

    def natural(self, thetas: ArrayLike) -> FloatArray:
        """theta of sampled parameters (p,) or (n, p): themselves, or centre + root phi."""
        values = self._rows(thetas)
        return values if not self._whitened else np.asarray(self._place.centre + values @ self._place.root.T)

    def _plain(self, theta: FloatArray) -> float:
        """Ln L where psi has no compiled form."""
        if not np.isfinite(theta).all():
            return math.nan
        natural = self.natural(theta)
        try:
            psi = self.family.log_partition(natural)
        except DataError:
            return -math.inf
        except ConvergenceError:
            return math.nan
        return float(self.data.n * (natural @ self.data.mean - psi) + self.data.log_base)

    def log_likelihood(self, theta: NDArray[np.float64]) -> float:
        """Ln L at ``theta`` (p,); -inf outside the natural domain, NaN where theta is not finite or too few draws count."""
        values = self._rows(theta)
        return self._plain(values) if self._packed is None else self._packed(values)

    def log_likelihood_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ln L (n,) of each row of ``thetas`` (n, p), equal to the single value to the bit."""
        rows = np.atleast_2d(self._rows(thetas))
        if self._packed is None:
            return np.array([self._plain(row) for row in rows])
        packed = self._packed
        work = np.empty(max(packed.workspace_size, kernels.BLOCK))
        return np.asarray(kernels.log_likelihood_many(rows, packed.floats, packed.ints, work))

    def compiled(self) -> CompiledLikelihood | None:
        """The kernel and its packed data; None for sums and integrals over a user's statistics."""
        return self._packed

    def default_priors(self) -> PriorSet:
        """Uniform in the estimate +- 8 robust standard errors, cut at the natural domain; your own where you compare evidences."""
        place = self._place
        if self._whitened:
            return PriorSet([Joint(self.parameters, WhitenedBox(place.low, place.high, place.centre, place.root))])
        rows = zip(self.parameters, place.low, place.high, strict=True)
        return PriorSet([Parameter(name, Uniform(float(low), float(high)), latex=_latex(name)) for name, low, high in rows])

    def domain(self) -> None:
        """None: the natural domain is no box, and ln L is -inf outside it."""

    def comparison_key(self) -> str:
        """Evidences may be compared for the same observations; where psi is known up to a constant only, for the same draws."""
        key = sha256_of("pn data", self.data.data, self.family.support.dim)
        return key if self.is_exact or is_exact(self.family) else sha256_of(key, self.fingerprint())

    def fingerprint(self) -> str:
        """sha256 over family, data, settings that decide ln L, packed numbers with all draws, and kernel version."""
        packed = (repr(self.family.support),) if self._packed is None else (self._packed.floats, self._packed.ints)
        place = (self._place.centre, self._place.root) if self._whitened else ()
        sums = (self.data.n, self.data.mean, self.data.log_base, self.data.data)
        return sha256_of("pn likelihood", kernels.KERNEL_VERSION, list(self.family.describe()), *sums, *packed, *place)

    @property
    def can_simulate(self) -> bool:
        """Whether data can be drawn: always."""
        return True

    def simulate(self, theta: NDArray[np.float64], rng: np.random.Generator) -> FloatArray:
        """n fresh observations (n,) or (n, dim) at ``theta``."""
        return np.asarray(self.family.simulate(self.natural(theta), self.data.n, rng), dtype=np.float64)

    def with_data(self, data: ArrayLike) -> ExponentialFamilyLikelihood:
        """The same likelihood with other observations, (m,) or (m, dim); box, whitening and draws stay, so that replicas share a prior.

        Raises
        ------
        DataError
            If the observations are malformed.
        ConvergenceError
            If their mean of the statistics lies outside the hull of the draws.
        """
        return replace(self, data=SufficientStatistics.of(self.family, data), record=None)

    def extend(self, thetas: ArrayLike) -> ExponentialFamilyLikelihood:
        """The engine with more references, at ``thetas`` (k, p) in sampled parameters, and as many draws at each as there are on average.

        Raises
        ------
        ConfigError
            If psi is exact.
        DataError
            If a theta is not finite or lies outside the natural domain.
        """
        if self.mixture is None:
            raise ConfigError("pn: psi of this engine is exact, there are no references to add to")
        points = np.atleast_2d(self.natural(finite_array("thetas", np.atleast_2d(np.asarray(thetas)), shape=(-1, self.family.p))))
        for point in points:
            self.family.check_theta(point)
        return replace(self, mixture=extended(self.family, self.mixture, points, self.settings.seed))

    def derived_many(self, thetas: NDArray[np.float64]) -> FloatArray:
        """`derived_names` at each row of ``thetas`` (n, p), (n, 3).

        Effective draws (infinite where psi is exact), sqrt(n / ess), and KL[data's estimate | theta] in nats per observation (NaN where
        the data have no estimate).
        """
        naturals = np.atleast_2d(self.natural(thetas))
        sizes = np.full(len(naturals), math.inf) if self.mixture is None else self.mixture.effective(naturals)
        return np.column_stack([sizes, np.sqrt(self.data.n / sizes), self._divergence(naturals)])

    def _psi(self, naturals: FloatArray) -> FloatArray:
        if self._packed is None:
            return np.array([self.family.log_partition(row) if self.family.in_domain(row) else math.inf for row in naturals])
        packed = self._packed
        return np.asarray(
            kernels.log_partitions(np.ascontiguousarray(naturals), packed.floats, packed.ints, np.empty(packed.workspace_size))
        )

    @cached_property
    def _best(self) -> FloatArray | None:
        """The data's own estimate."""
        if not is_exact(self.family):
            return self._place.centre
        try:
            return self.family.fit_mean(self.data.mean, self._place.centre)
        except (DataError, ConvergenceError):
            return None

    def _divergence(self, naturals: FloatArray) -> FloatArray:
        best = self._best
        if best is None:
            return np.full(len(naturals), math.nan)
        gap = self._psi(naturals) - self._psi(best[None, :])[0] - (naturals - best) @ self.data.mean
        return np.asarray(np.maximum(gap, 0.0))

    def posterior_meta(self) -> dict[str, Any]:
        """What goes into ``Posterior.meta``: the criterion's result, and how psi is known."""
        source: dict[str, Any] = {"partition": "exact"}
        if self.mixture is not None:
            size = float(self.mixture.effective(self._place.centre[None, :])[0])
            source = {
                "partition": "importance", "draws": float(self.mixture.sizes.sum()), "references": len(self.mixture.thetas),
                "ess": size, "mc_shift": math.sqrt(self.data.n / size),
            }  # fmt: skip
        return {"pn": {**source, "criterion": None if self.record is None else dict(self.record)}}


def _latex(name: str) -> str:
    """theta_3 with its Greek letter."""
    head, _, number = name.partition("_")
    return rf"\theta_{{{number}}}" if head == "theta" and number.isdigit() else ""
