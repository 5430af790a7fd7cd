"""A problem as the blocks of a cobaya input dictionary; nothing of cobaya is imported."""

from __future__ import annotations

import inspect
import keyword
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from sciinf.adapters.callables import theta_of
from sciinf.core import priors as kinds
from sciinf.core.errors import ConfigError
from sciinf.core.parameter import Parameter
from sciinf.core.prior_base import Prior
from sciinf.core.prior_set import PriorSet
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator

__all__ = ["cobaya_blocks"]

_SEED = 20110615  # of the prior draws that give reference points: part of the blocks' definition
_DRAWS = 1024
_QUARTILES = 1.349  # distance of a normal density's quartiles in standard deviations

_SCIPY: dict[type[Prior], Callable[[Any], dict[str, Any] | None]] = {
    kinds.Uniform: lambda p: {"min": p.low, "max": p.high},
    kinds.LogUniform: lambda p: {"dist": "loguniform", "a": p.low, "b": p.high},
    kinds.Normal: lambda p: {"dist": "norm", "loc": p.mean, "scale": p.std},
    kinds.TruncatedNormal: lambda p: {
        "dist": "truncnorm",
        "loc": p.mean,
        "scale": p.std,
        "a": (p.low - p.mean) / p.std,
        "b": (p.high - p.mean) / p.std,
    },
    kinds.HalfNormal: lambda p: {"dist": "halfnorm", "scale": p.std},
    kinds.LogNormal: lambda p: {"dist": "lognorm", "s": p.sigma, "scale": math.exp(p.mu)},
    kinds.Exponential: lambda p: {"dist": "expon", "scale": p.scale},
    kinds.Gamma: lambda p: {"dist": "gamma", "a": p.shape, "scale": p.scale},
    kinds.InverseGamma: lambda p: {"dist": "invgamma", "a": p.shape, "scale": p.scale},
    kinds.Beta: lambda p: {"dist": "beta", "a": p.a, "b": p.b},
    kinds.Cauchy: lambda p: {"dist": "cauchy", "loc": p.location, "scale": p.scale},
    kinds.HalfCauchy: lambda p: {"dist": "halfcauchy", "scale": p.scale},
    kinds.StudentT: lambda p: {"dist": "t", "df": p.df, "loc": p.location, "scale": p.scale},
    kinds.Chi: lambda p: {"dist": "chi", "df": p.df, "scale": p.scale},
    kinds.Triangular: lambda p: {"dist": "triang", "c": (p.mode - p.low) / (p.high - p.low), "loc": p.low, "scale": p.high - p.low},
    kinds.PowerLaw: lambda p: {"dist": "powerlaw", "a": p.alpha + 1.0, "scale": p.high} if p.low == 0.0 and p.reflect_at is None else None,
}
"""Class of prior -> the same density as cobaya reads it (a distribution of scipy.stats), or None."""


class _Named:
    """A function whose arguments are parameters by name, as cobaya finds out by introspection."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.__signature__ = inspect.Signature([inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names])

    def __deepcopy__(self, memo: dict[int, Any]) -> _Named:
        return self  # cobaya copies its input; the data need not be copied, and the counters go on


class LogLikelihood(_Named):
    """Ln L of parameters by name."""

    def __init__(self, problem: Problem) -> None:
        super().__init__((*problem.names, *problem.priors.fixed))
        self.problem = problem

    def __call__(self, **values: float) -> float:
        return self.problem.log_likelihood(theta_of(self.problem, values))


class LogPriorFactor(_Named):
    """Ln of the joint prior density over the product of one-dimensional ones that cobaya evaluates by itself."""

    def __init__(self, priors: PriorSet, product: PriorSet) -> None:
        super().__init__(priors.names)
        self.priors, self.product = priors, product

    def __call__(self, **values: float) -> float:
        theta = np.array([values[name] for name in self.priors.names], dtype=np.float64)
        joint = float(self.priors.log_prior(theta))
        return joint - float(self.product.log_prior(theta)) if math.isfinite(joint) else -math.inf


def cobaya_blocks(problem: Problem) -> dict[str, Any]:
    """See `sciinf.adapters.as_cobaya`."""
    priors = problem.priors
    if wrong := [name for name in (*priors.names, *priors.fixed) if keyword.iskeyword(name)]:
        raise ConfigError(f"cobaya passes parameters as keyword arguments and cannot hold the name '{wrong[0]}', a keyword of Python")
    draws = priors.sample(generator(_SEED, "as_cobaya"), _DRAWS)
    lower, medians, upper = np.quantile(draws, [0.25, 0.5, 0.75], axis=0).tolist()
    own = {m.name: m.prior for m in priors.members if isinstance(m, Parameter) and isinstance(m.prior, Prior)}
    carriers: dict[str, Prior] = {}
    params: dict[str, Any] = {}
    for i, name in enumerate(priors.names):
        width = (upper[i] - lower[i]) / _QUARTILES
        carriers[name] = _carrier(own.get(name), priors.supports[name], medians[i], width, i in priors.periodic)
        params[name] = {
            "prior": _scipy_form(carriers[name]),
            "ref": {"dist": "norm", "loc": medians[i], "scale": width},
            "latex": priors.latex[i] + (rf"\ [\mathrm{{{priors.units[i]}}}]" if priors.units[i] else ""),
        }
        if i in priors.periodic:
            params[name]["periodic"] = True
    params.update(priors.fixed)
    label = re.sub(r"\W+", "_", problem.name)
    # without stop_at_error cobaya would take a LikelihoodError for ln L = -inf
    blocks: dict[str, Any] = {"likelihood": {label: {"external": LogLikelihood(problem), "stop_at_error": True}}, "params": params}
    if priors.is_constrained or any(own.get(name) is not carrier for name, carrier in carriers.items()):
        product = PriorSet([Parameter(name, carrier) for name, carrier in carriers.items()])
        blocks["prior"] = {f"{label}_joint": LogPriorFactor(priors, product)}
    return blocks


def _scipy_form(prior: Prior) -> dict[str, Any] | None:
    """The same density as cobaya reads it, or None."""
    form = _SCIPY.get(type(prior))
    return None if form is None else form(prior)


def _carrier(prior: Prior | None, support: tuple[float, float], median: float, width: float, periodic: bool) -> Prior:
    """The one-dimensional prior that cobaya holds: the parameter's own where it can, else a proper density over its support."""
    if prior is not None and _scipy_form(prior) is not None and (not periodic or isinstance(prior, kinds.Uniform)):
        return prior
    if math.isfinite(support[1] - support[0]):
        return kinds.Uniform(*support)
    return kinds.StudentT(3.0, median, width)
