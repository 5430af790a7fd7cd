"""A problem as bilby takes it; imports bilby, so `sciinf.adapters.as_bilby` loads it when it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import bilby
import numpy as np
from bilby.core import prior as theirs
from bilby.core.utils import random as bilby_random
from numpy.typing import NDArray

from sciinf.adapters.callables import theta_of
from sciinf.core import priors as kinds
from sciinf.core.errors import ConfigError
from sciinf.core.joint_priors import Joint
from sciinf.core.parameter import Parameter
from sciinf.core.prior_base import Prior
from sciinf.core.prior_set import PriorSet
from sciinf.core.problem import Problem

__all__ = ["JointMember", "JointPriorDict", "ProblemLikelihood", "WrappedPrior", "prior_dict"]

_CHECKED = np.concatenate([[1e-6, 1e-3], np.linspace(0.01, 0.99, 25), [1.0 - 1e-3, 1.0 - 1e-6]])
_AGREEMENT = 1e-9

_BILBY: dict[type[Prior], Callable[[Any], tuple[type, tuple[Any, ...]]]] = {
    kinds.Uniform: lambda p: (theirs.Uniform, (p.low, p.high)),
    kinds.LogUniform: lambda p: (theirs.LogUniform, (p.low, p.high)),
    kinds.PowerLaw: lambda p: (theirs.PowerLaw, (p.alpha, p.low, p.high)),
    kinds.Triangular: lambda p: (theirs.Triangular, (p.mode, p.low, p.high)),
    kinds.Beta: lambda p: (theirs.Beta, (p.a, p.b)),
    kinds.Normal: lambda p: (theirs.Gaussian, (p.mean, p.std)),
    kinds.TruncatedNormal: lambda p: (theirs.TruncatedGaussian, (p.mean, p.std, p.low, p.high)),
    kinds.HalfNormal: lambda p: (theirs.HalfGaussian, (p.std,)),
    kinds.LogNormal: lambda p: (theirs.LogNormal, (p.mu, p.sigma)),
    kinds.Exponential: lambda p: (theirs.Exponential, (p.scale,)),
    kinds.Gamma: lambda p: (theirs.Gamma, (p.shape, p.scale)),
    kinds.Cauchy: lambda p: (theirs.Cauchy, (p.location, p.scale)),
    kinds.StudentT: lambda p: (theirs.StudentT, (p.df, p.location, p.scale)),
    kinds.Sine: lambda p: (theirs.Sine, (p.low, p.high)),
    kinds.Cosine: lambda p: (theirs.Cosine, (p.low, p.high)),
}
"""Class of prior -> bilby's class and its numbers; taken only where `_agrees`."""


class ProblemLikelihood(bilby.Likelihood):  # type: ignore[misc]
    """The problem's ln L of parameters by name; holds no state."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem
        if not isinstance(getattr(type(self), "parameters", None), property):
            self.parameters: dict[str, float] = {}  # bilby before 2.7 writes a point here and calls without an argument

    def log_likelihood(self, parameters: Mapping[str, float] | None = None) -> float:
        """Ln L, guarded by the problem; without an argument (bilby before 2.7) at the attribute ``parameters``."""
        return self.problem.log_likelihood(theta_of(self.problem, self.parameters if parameters is None else parameters))


class WrappedPrior(theirs.Prior):  # type: ignore[misc]
    """One of our one-dimensional priors where bilby has none of the same density.

    ``prior`` may be its description, as bilby's result files hold it.
    """

    def __init__(
        self, prior: Prior | Mapping[str, Any], name: str | None = None, latex_label: str | None = None, unit: str | None = None
    ) -> None:
        self.prior = prior if isinstance(prior, Prior) else _from_description(prior)
        low, high = self.prior.support
        super().__init__(name=name, latex_label=latex_label, unit=unit, minimum=low, maximum=high)

    def rescale(self, val: Any) -> Any:
        """Quantiles."""
        return self.prior.ppf(val)[()]

    def ln_prob(self, val: Any) -> Any:
        """Log-density."""
        return self.prior.logpdf(val)[()]

    def prob(self, val: Any) -> Any:
        """Density."""
        return np.exp(self.ln_prob(val))

    def cdf(self, val: Any) -> Any:
        """Probability at or below."""
        return self.prior.cdf(val)[()]

    def get_instantiation_dict(self) -> dict[str, Any]:
        """What bilby writes into its files."""
        return {"prior": self.prior.describe(), "name": self.name, "latex_label": self.latex_label, "unit": self.unit}


class JointMember(theirs.Prior):  # type: ignore[misc]
    """Label, bounds and boundary of a parameter that has no density of its own: its `JointPriorDict` has it."""

    def prob(self, val: Any) -> Any:
        """NaN: there is a joint density only."""
        return np.full(np.shape(val), np.nan)[()]

    def rescale(self, val: Any) -> Any:
        """Refused.

        Raises
        ------
        ConfigError
            Always.
        """
        raise ConfigError(f"'{self.name}' has a joint or conditional prior: use rescale, ln_prob and sample of the whole PriorDict")

    cdf = rescale


class JointPriorDict(theirs.PriorDict):  # type: ignore[misc]
    """A PriorDict whose joint density is that of a `PriorSet`.

    Raises
    ------
    ConfigError
        In every evaluation: if a member was exchanged or deleted, a sampled parameter is missing, or the dictionary was read back from
        a file (which holds labels and bounds only).
    """

    def __init__(
        self, dictionary: Any = None, filename: Any = None, conversion_function: Any = None, prior_set: PriorSet | None = None
    ) -> None:
        super().__init__(dictionary, filename, conversion_function)
        self._prior_set = prior_set
        self._members = dict(self)

    @property
    def prior_set(self) -> PriorSet:
        """The joint density."""
        if self._prior_set is None:
            raise ConfigError("these priors were read from a file, which does not hold their joint density: as_bilby(problem) gives it")
        if changed := [name for name, member in self._members.items() if self.get(name) is not member]:
            raise ConfigError(
                f"{', '.join(changed)}: a member of a joint, conditional or constrained prior cannot be exchanged here. Change the "
                f"problem's priors, priors.replace({changed[0]}=...), and call as_bilby again"
            )
        return self._prior_set

    def _columns(self, values: Mapping[str, Any]) -> NDArray[np.float64]:
        """Points (..., n_dim) from values by name."""
        names = self.prior_set.names
        if missing := [name for name in names if name not in values]:
            raise ConfigError(f"the joint prior of {', '.join(names)} needs all of them; missing: {', '.join(missing)}")
        return np.stack(np.broadcast_arrays(*(np.asarray(values[name], dtype=np.float64) for name in names)), axis=-1)

    def ln_prob(self, sample: Mapping[str, Any], axis: int | None = None, normalized: bool = True) -> Any:
        """Joint log-density: one number (summed over points where ``axis`` is None, as bilby does), or one per point."""
        values = self.prior_set.log_prior(self._columns(sample)) + (0.0 if normalized else self.prior_set.log_mass)
        return values if axis is not None and values.ndim else float(values.sum())

    def prob(self, sample: Mapping[str, Any], axis: int | None = None) -> Any:
        """Joint density, of the shape of `ln_prob`."""
        return np.exp(self.ln_prob(sample, axis=axis))

    def cdf(self, sample: Mapping[str, Any]) -> Any:
        """Refused.

        Raises
        ------
        ConfigError
            Always: a joint density has no distribution function per parameter.
        """
        raise ConfigError(f"the joint prior of {', '.join(self.prior_set.names)} has no distribution function per parameter")

    def rescale(self, keys: Sequence[str], theta: Any) -> list[Any]:
        """Cube points, one entry per key, to parameters in the order of ``keys``, before any region."""
        units = dict(zip(keys, theta, strict=True))
        points = self.prior_set.transform(self._columns(units))
        return [points[..., self.prior_set.names.index(key)][()] for key in keys]

    def sample_subset(self, keys: Sequence[str] = (), size: Any = None) -> dict[str, Any]:
        """Independent joint draws (inside any region), the named parameters of them."""
        shape = () if size is None else tuple(np.atleast_1d(size).tolist())
        draws = self.prior_set.sample(bilby_random.rng, int(np.prod(shape))).reshape(*shape, self.prior_set.n_dim)
        columns = {name: draws[..., i][()] for i, name in enumerate(self.prior_set.names)}
        return {key: columns[key] if key in columns else self[key].sample(size=size) for key in keys}

    def evaluate_constraints(self, sample: Mapping[str, Any]) -> Any:
        """Whether the points lie inside the declared regions."""
        return self.prior_set.inside(self._columns(sample)) if self.prior_set.is_constrained else 1

    def copy(self) -> JointPriorDict:
        """The same members and joint density."""
        return type(self)(dict(self), prior_set=self._prior_set)


def prior_dict(priors: PriorSet) -> theirs.PriorDict:
    """The PriorDict of a prior set: a plain one where its members are independent."""
    members: dict[str, theirs.Prior] = {}
    independent = not priors.is_constrained
    for member in priors.members:
        if isinstance(member, Parameter) and isinstance(member.prior, Prior):
            members[member.name] = _single(member.prior, _label(member.name, member.latex, member.unit))
            if member.periodic:
                members[member.name].boundary = "periodic"
            continue
        independent = False
        for name in member.names if isinstance(member, Joint) else (member.name,):
            i = priors.names.index(name)
            low, high = priors.supports[name]
            boundary = "periodic" if i in priors.periodic else None
            members[name] = JointMember(minimum=low, maximum=high, boundary=boundary, **_label(name, priors.latex[i], priors.units[i]))
    return theirs.PriorDict(members) if independent else JointPriorDict(members, prior_set=priors)


def _label(name: str, latex: str, unit: str) -> dict[str, Any]:
    """Labels as bilby writes them."""
    text = latex or name.replace("_", r"\_")
    return {"name": name, "latex_label": f"${text}$", "unit": unit or None}


def _single(prior: Prior, label: dict[str, Any]) -> theirs.Prior:
    """bilby's own class where it gives the same density, else ours wrapped."""
    if isinstance(prior, kinds.Fixed):
        return theirs.DeltaFunction(prior.value, **label)
    if type(prior) in _BILBY:
        kind, numbers = _BILBY[type(prior)](prior)
        member = kind(*numbers, **label)
        if _agrees(member, prior):
            return member
    return WrappedPrior(prior, **label)


def _agrees(member: theirs.Prior, prior: Prior) -> bool:
    """Whether bilby's prior has our quantiles and density, inside the support and beyond it."""
    x = prior.ppf(_CHECKED)
    around = np.concatenate([x, [x[0] - (x[-1] - x[0]), x[-1] + (x[-1] - x[0])]])
    with np.errstate(all="ignore"):
        quantiles, densities = np.asarray(member.rescale(_CHECKED)), np.asarray(member.ln_prob(around))
    return bool(
        np.allclose((quantiles - x) / (x[-1] - x[0]), 0.0, atol=_AGREEMENT)
        and np.allclose(densities, prior.logpdf(around), rtol=_AGREEMENT, atol=_AGREEMENT)
        and (member.minimum, member.maximum) == prior.support
    )


def _from_description(description: Mapping[str, Any]) -> Prior:
    """The prior that `Prior.describe` tells of."""
    numbers = {key: float(value) if isinstance(value, str) else value for key, value in description.items() if key != "kind"}
    return getattr(kinds, description["kind"])(**numbers)  # type: ignore[no-any-return]
