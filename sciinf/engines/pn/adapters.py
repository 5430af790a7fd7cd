"""Fitted models of statsmodels, and laws of scipy, in this engine's terms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from sciinf.core.errors import ConfigError, ConvergenceError, DataError, DataTypeError, nearest_names
from sciinf.engines.pn import families
from sciinf.engines.pn.design_refits import CanonicalRefits, LinkedRefits, NormalRefits, Refits
from sciinf.engines.pn.family import ExponentialFamily
from sciinf.engines.pn.glm import GeneralisedDesign, NormalDesign
from sciinf.engines.pn.hull import separating_direction

__all__ = ["FittedModel", "from_scipy", "from_statsmodels", "is_statsmodels"]

FloatArray = NDArray[np.float64]

_POLISH = 8
_SUPPORTED = "GLM, the discrete Logit and Poisson, and OLS"


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A fit in this engine's terms.

    Attributes
    ----------
    label : str
        What was fitted.
    params : (p,) float64 array
        Estimates, a normal regression's variance last.
    n_rows, n_trials : float
        Units: rows, each as often as its frequency weight, and trials of grouped data.
    log_likelihood : float
        At the fit.
    design : GeneralisedDesign, NormalDesign or None
        None where the link is not canonical: only the first order is known.
    first_order : tuple of float and array, optional
        tr(I K J K) and the rows' shares of it, there.
    flags : tuple of str
    refits : CanonicalRefits, LinkedRefits or NormalRefits
        For the bootstrap.
    """

    label: str
    params: FloatArray
    n_rows: float
    n_trials: float
    log_likelihood: float
    design: GeneralisedDesign | NormalDesign | None
    first_order: tuple[float, FloatArray] | None
    flags: tuple[str, ...]
    refits: Refits


def is_statsmodels(value: object) -> bool:
    """Whether a value's class comes from statsmodels; nothing is imported to find out."""
    return type(value).__module__.split(".")[0] == "statsmodels"


def from_statsmodels(fitted: Any) -> FittedModel:
    """A fitted result of statsmodels.

    Parameters
    ----------
    fitted : statsmodels results
        Of GLM, of the discrete Logit or Poisson, or of OLS.

    Raises
    ------
    DataTypeError
        If it is of another class; names it and what is supported.
    DataError
        If it was fitted with a penalty, constraints or weights that have no likelihood, or if no maximum exists.
    ConvergenceError
        If the fit has not converged.
    """
    results = getattr(fitted, "_results", fitted)
    model: Any = getattr(results, "model", None)
    name, kind = type(results).__name__, type(model).__name__
    if name == "GLMResults":
        return _glm(results)
    if name == "LogitResults":
        return _discrete(results, "logit")
    if name == "PoissonResults":
        return _discrete(results, "Poisson")
    if kind == "OLS" and name in ("OLSResults", "RegressionResults"):
        return _regression(
            np.asarray(model.endog, dtype=np.float64), np.asarray(model.exog, dtype=np.float64), results, "normal regression"
        )
    advice = "WLS with known weights is OLS on scaled rows" if kind == "WLS" else "GLM has most links"
    if "L1" in name or "Regularized" in name:
        raise DataError(f"pn: {name} was fitted with a penalty, so it is not the maximum of the likelihood: fit without one")
    raise DataTypeError(f"pn: results of {kind} ({name}) are not supported: {_SUPPORTED} are; {advice}")


def _names(model: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in model.exog_names)


def _regression(endog: FloatArray, exog: FloatArray, results: Any, label: str) -> FittedModel:
    params = np.asarray(results.params, dtype=np.float64)
    design = NormalDesign(exog, endog - exog @ params, _names(results.model))
    n = float(len(endog))
    log_likelihood = -0.5 * n * (math.log(2.0 * math.pi * design.variance) + 1.0)
    refits = NormalRefits(exog, design.residual)
    return FittedModel(label, np.append(params, design.variance), n, n, log_likelihood, design, None, (), refits)


def _check_binary(design: FloatArray, successes: FloatArray, trials: FloatArray, names: tuple[str, ...]) -> None:
    """No direction may separate the classes."""
    sign = np.where(successes <= 0.0, -1.0, np.where(successes >= trials, 1.0, 0.0))
    direction = separating_direction(design, sign)
    if direction is not None:
        top = np.max(np.abs(direction))
        terms = " ".join(f"{value / top:+.3g} {name}" for name, value in zip(names, direction, strict=True) if abs(value) > 1e-9 * top)
        raise DataError(
            f"pn: the maximum likelihood estimate does not exist: {terms} separates the classes. "
            "Report the risk conditional on existence by bootstrap, or change the model"
        )


def _discrete(results: Any, kind: str) -> FittedModel:
    model = results.model
    if not results.mle_retvals.get("converged", False) if isinstance(results.mle_retvals, Mapping) else False:
        raise ConvergenceError(f"pn: the {kind} fit of statsmodels has not converged: fit with a larger maxiter, or another method")
    exog, endog = np.asarray(model.exog, dtype=np.float64), np.asarray(model.endog, dtype=np.float64)
    ones, params = np.ones(len(endog)), np.asarray(results.params, dtype=np.float64)
    offset = 0.0 * ones
    if kind == "logit":
        _check_binary(exog, endog, ones, _names(model))
    else:  # exposure and offset are in the means
        offset = np.log(np.asarray(results.predict(), dtype=np.float64)) - exog @ params
    params, mu = _polished(exog, endog, ones, params, offset, "Binomial" if kind == "logit" else "Poisson")
    k2, k3, k4 = _bernoulli(mu) if kind == "logit" else (mu, mu, mu)
    design = GeneralisedDesign(exog, k2, k3, k4, endog - mu, _names(model))
    n = float(len(endog))
    refits = CanonicalRefits(exog, offset, ones, ones, endog, params, kind == "logit")
    return FittedModel(f"{kind} regression", params, n, n, float(results.llf), design, None, (), refits)


def _bernoulli(mu: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    v = mu * (1.0 - mu)
    return v, v * (1.0 - 2.0 * mu), v * (1.0 - 6.0 * v)


_TURNED = {"Gamma": -1.0, "InverseGaussian": -0.5}
"""Canonical parameter over statsmodels' linear predictor, where it is not 1: its power is in each derivative, itself in the residuals."""

_CANONICAL = {
    "Poisson": ("Log",),
    "Binomial": ("Logit",),
    "Gaussian": ("Identity",),
    "Gamma": ("InversePower",),
    "InverseGaussian": ("InverseSquared",),
}


def _glm(results: Any) -> FittedModel:
    model = results.model
    family, link = type(model.family).__name__, type(model.family.link).__name__
    if hasattr(results, "constraints"):
        raise DataError("pn: the GLM was fitted under constraints, which this risk does not know: fit without them")
    if not bool(getattr(results, "converged", True)):
        raise ConvergenceError("pn: the GLM fit of statsmodels has not converged: fit with a larger maxiter")
    if family not in _CANONICAL:
        raise DataTypeError(f"pn: a GLM of family {family} has no supported likelihood: {', '.join(_CANONICAL)} have")
    exog, endog = np.asarray(model.exog, dtype=np.float64), np.asarray(model.endog, dtype=np.float64)
    counts = np.broadcast_to(np.asarray(model.freq_weights, dtype=np.float64), endog.shape)
    weights = np.broadcast_to(np.asarray(model.var_weights, dtype=np.float64), endog.shape)
    if np.any(counts != np.round(counts)):
        first = int(np.argmax(counts != np.round(counts)))
        raise DataError(
            f"pn: freq_weights count rows and must be integers; freq_weights[{first}] = {counts[first]:g}. "
            "For known variances take var_weights"
        )
    if np.any(counts != 1.0):
        repeats = counts.astype(np.int64)
        exog, endog, weights = np.repeat(exog, repeats, axis=0), np.repeat(endog, repeats), np.repeat(weights, repeats)
    else:
        repeats = np.ones(len(endog), dtype=np.int64)
    mu = np.repeat(np.asarray(results.mu, dtype=np.float64), repeats)
    params, label = np.asarray(results.params, dtype=np.float64), f"GLM {family}, {link}"
    names = _names(model)
    if family == "Gaussian" and link == "Identity" and np.all(weights == 1.0) and not np.any(_offset(model)):
        return _regression(endog, exog, results, label)
    trials = (
        np.repeat(np.broadcast_to(np.asarray(model.n_trials, dtype=np.float64), model.endog.shape), repeats)
        if family == "Binomial"
        else np.ones(len(endog))
    )
    if family == "Binomial" and link == "Logit":
        _check_binary(exog, endog * trials, trials, names)
    phi = float(results.scale) if family in ("Gamma", "InverseGaussian", "Gaussian") else 1.0
    if family in ("Poisson", "Binomial") and abs(float(results.scale) - 1.0) > 1e-12:
        raise DataError(
            f"pn: the GLM was fitted with a quasi-likelihood (scale {float(results.scale):g}), which is no likelihood: fit with scale=1"
        )
    flags = ("dispersion_fixed",) if family in ("Gamma", "InverseGaussian", "Gaussian") else ()
    size = weights * trials / phi
    n, total, llf = float(len(endog)), float(trials.sum()), float(results.llf)
    offset = np.repeat(np.broadcast_to(_offset(model), model.endog.shape), repeats)
    if link not in _CANONICAL[family]:
        trace, shares, scores, middle = _first_order(results)
        linked = LinkedRefits(
            exog, offset, trials, weights, endog, params, family, model.family.link, phi, (np.repeat(scores, repeats, axis=0), middle)
        )
        return FittedModel(label, params, n, total, llf, None, (trace, shares), (*flags, "first_order_only"), linked)
    if family in ("Poisson", "Binomial"):
        params, mu = _polished(exog, endog, size, params, offset, family)
    k2, k3, k4 = _glm_cumulants(family, mu)
    design = GeneralisedDesign(exog, size * k2, size * k3, size * k4, _TURNED.get(family, 1.0) * size * (endog - mu), names)
    refits: Refits
    if family in ("Poisson", "Binomial"):
        refits = CanonicalRefits(exog, offset, trials, weights, endog, params, family == "Binomial")
    else:
        _, _, scores, middle = _first_order(results)
        refits = LinkedRefits(
            exog, offset, trials, weights, endog, params, family, model.family.link, phi, (np.repeat(scores, repeats, axis=0), middle)
        )
    return FittedModel(label, params, n, total, llf, design, None, flags, refits)


def _polished(
    exog: FloatArray, endog: FloatArray, size: FloatArray, params: FloatArray, offset: FloatArray, family: str
) -> tuple[FloatArray, FloatArray]:
    """Coefficients and means at the very maximum: statsmodels stops at 1e-8 of the deviance, which shows in the sixth digit of a trace."""

    def mean(values: FloatArray) -> FloatArray:
        linear = exog @ values + offset
        return np.asarray(np.exp(linear) if family == "Poisson" else special.expit(linear))

    for _ in range(_POLISH):
        mu = mean(params)
        variance = size * _glm_cumulants(family, mu)[0]
        rows = exog * np.sqrt(variance)[:, None]
        scale = np.maximum(np.sqrt(np.sum(rows**2, axis=0)), 1e-300)
        step = np.linalg.lstsq(rows / scale, size * (endog - mu) / np.sqrt(np.maximum(variance, 1e-300)), rcond=None)[0] / scale
        params = params + step
        if float(np.max(np.abs(step * scale))) < 1e-12:
            break
    return params, mean(params)


def _offset(model: Any) -> FloatArray:
    return np.asarray(model._offset_exposure, dtype=np.float64)


def _glm_cumulants(family: str, mu: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Derivatives of b of orders two to four by the linear predictor."""
    if family == "Poisson":
        return mu, mu, mu
    if family == "Binomial":
        return _bernoulli(mu)
    if family == "Gaussian":
        return np.ones_like(mu), np.zeros_like(mu), np.zeros_like(mu)
    if family == "Gamma":
        return mu**2, -2.0 * mu**3, 6.0 * mu**4
    return 0.25 * mu**3, -0.375 * mu**5, 0.9375 * mu**7


def _first_order(results: Any) -> tuple[float, FloatArray, FloatArray, FloatArray]:
    """tr(I K J K), the rows' shares of it, their scores and K I K.

    Of any link: expected information I under the fit, observed H = K^-1, score products J.
    """
    model, params = results.model, np.asarray(results.params)
    scores = np.asarray(model.score_obs(params), dtype=np.float64)
    scale = float(results.scale)
    observed = -np.asarray(model.hessian(params, scale=scale, observed=True), dtype=np.float64)
    expected = -np.asarray(model.hessian(params, scale=scale, observed=False), dtype=np.float64)
    inverse = np.linalg.inv(observed)
    middle = inverse @ expected @ inverse
    shares = np.einsum("na,ab,nb->n", scores, middle, scores)
    return float(shares.sum()), shares, scores, middle


_LAWS: dict[str, tuple[str, ...]] = {
    "norm": (), "multivariate_normal": ("mean", "cov"), "expon": (), "gamma": ("a",), "invgauss": ("mu",), "beta": ("a", "b"),
    "vonmises": ("kappa",), "poisson": ("mu",), "bernoulli": ("p",), "binom": ("n", "p"), "geom": ("p",), "nbinom": ("n", "p"),
    "multinomial": ("n", "p"),
}  # fmt: skip
_FITTED = 1e-4  # in units of the estimate's standard error


def from_scipy(dist_name: str, params: Mapping[str, Any], data: ArrayLike) -> tuple[ExponentialFamily, FloatArray, FloatArray]:
    """A law of scipy.stats with its fitted parameters as a family, theta and observations.

    Parameters
    ----------
    dist_name : str
        norm, multivariate_normal, expon, gamma, invgauss, beta, vonmises, poisson, bernoulli, binom, geom, nbinom or multinomial.
    params : mapping
        By scipy's names: shapes, ``loc`` and ``scale``.
    data : (n,) or (n, dim) array

    Returns
    -------
    family, theta (p,), observations

    Raises
    ------
    ConfigError
        If there is no such law here, or a parameter is missing, unknown or moves the law out of its family.
    DataError
        If the parameters are not the maximum-likelihood estimate of these data.
    """
    if dist_name not in _LAWS:
        raise ConfigError(f"from_scipy: no law '{dist_name}': {nearest_names(str(dist_name), list(_LAWS))}")
    shapes = _LAWS[dist_name]
    allowed = shapes if dist_name in ("multivariate_normal", "multinomial") else (*shapes, "loc", "scale")
    for name in params:
        if name not in allowed:
            raise ConfigError(f"from_scipy: {dist_name} has no parameter '{name}': {nearest_names(str(name), allowed)}")
    for name in shapes:
        if name not in params:
            raise ConfigError(f"from_scipy: {dist_name} needs the parameter '{name}'")
    family, theta, x = _law(dist_name, params, np.asarray(data))
    points = family.observed(x)
    best = family.fit(points)
    _, _, information = family.state(best)
    off = math.sqrt(max(float((theta - best) @ information @ (theta - best)), 0.0) * len(points))
    if off > _FITTED * math.sqrt(family.p) and not np.allclose(theta, best, rtol=1e-6, atol=1e-12):
        raise DataError(
            f"from_scipy: these parameters are not the maximum-likelihood estimate of the data, but {off:.3g} standard errors away: "
            f"fit without fixed parameters other than loc, and with floc=0 where the family has no loc"
        )
    return family, best, points


def _law(name: str, params: Mapping[str, Any], data: NDArray[Any]) -> tuple[ExponentialFamily, FloatArray, NDArray[Any]]:
    loc, scale = float(params.get("loc", 0.0)), float(params.get("scale", 1.0))
    if name not in ("norm", "vonmises") and loc != 0.0:
        raise ConfigError(f"from_scipy: {name} has no loc in its family: fit with floc=0; got {loc:g}")
    if name in ("beta", "vonmises") and scale != 1.0:
        raise ConfigError(f"from_scipy: {name} has no scale in its family: fit with fscale=1; got {scale:g}")
    if name == "norm":
        normal = families.Normal()
        return normal, normal.natural(loc, scale), data
    if name == "multivariate_normal":
        many = families.MultivariateNormal(len(np.atleast_1d(params["mean"])))
        return many, many.natural(np.atleast_1d(params["mean"]), np.atleast_2d(params["cov"])), data
    if name == "expon":
        exponential = families.Exponential()
        return exponential, exponential.natural(1.0 / scale), data
    if name == "gamma":
        gamma = families.Gamma()
        return gamma, gamma.natural(params["a"], scale), data
    if name == "invgauss":
        inverse = families.InverseGaussian()
        return inverse, inverse.natural(float(params["mu"]) * scale, scale), data
    if name == "beta":
        beta = families.Beta()
        return beta, beta.natural(params["a"], params["b"]), data
    if name == "vonmises":
        circle = families.VonMises()
        return circle, circle.natural(params["kappa"], loc), data
    if name == "poisson":
        poisson = families.Poisson()
        return poisson, poisson.natural(params["mu"]), data
    if name in ("bernoulli", "binom"):
        binomial = families.Binomial(int(params.get("n", 1)))
        return binomial, binomial.natural(params["p"]), data
    if name == "geom":
        geometric = families.Geometric()
        return geometric, geometric.natural(params["p"]), data - 1.0  # trials until the first success, counted from 1
    if name == "nbinom":
        negative = families.NegativeBinomial(params["n"])
        return negative, negative.natural(params["p"]), data
    probs = np.asarray(params["p"], dtype=np.float64)
    if int(params["n"]) != 1:
        raise ConfigError(f"from_scipy: multinomial must be of single draws, n = 1, got n = {params['n']}")
    table = families.Multinomial(len(probs))
    return table, table.natural(probs), np.argmax(data, axis=1).astype(np.float64)
