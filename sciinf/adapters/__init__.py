"""Our engines inside the stack that a user already has: plain functions, bilby, cobaya.

Nothing foreign is imported before it is used. Every form gives the value of the problem's own ``log_likelihood``, to the bit.
"""

from __future__ import annotations

import warnings
from typing import Any

from sciinf.adapters.callables import Callables, as_callables
from sciinf.core.errors import MissingDependencyError
from sciinf.core.problem import Problem

__all__ = ["Callables", "as_bilby", "as_callables", "as_cobaya"]


def as_bilby(problem: Problem) -> tuple[Any, Any]:
    r"""A problem as bilby takes it.

    Parameters
    ----------
    problem : Problem
        The likelihood and its prior.

    Returns
    -------
    likelihood : bilby.Likelihood
        Stateless: ``log_likelihood(parameters)``; where a bilby before 2.7 calls it without an argument, its ``parameters``
        attribute is read. It knows no noise likelihood.
    priors : bilby.core.prior.PriorDict
        The same joint density. Independent priors stand in a plain ``PriorDict``, as bilby's own classes where these give the same
        density, else wrapped. Joint, conditional and constrained priors need a subclass, whose ``ln_prob``, ``rescale`` and ``sample``
        are those of the problem; its members hold labels, bounds and boundaries, and cannot be exchanged one by one. Fixed parameters
        are ``DeltaFunction``.

    Raises
    ------
    MissingDependencyError
        If bilby is not installed.

    Notes
    -----
    bilby's own class is taken only if its density and quantiles agree with ours to 1e-9 over the whole range: bilby 2.8 does not
    normalise ``Sine`` and ``Cosine`` on a part of their range, and its ``TruncatedGaussian`` loses the far tail.

    Examples
    --------
    >>> from sciinf.calibration.analytic import gauss3
    >>> likelihood, priors = as_bilby(gauss3().problem)  # doctest: +SKIP
    >>> bilby.run_sampler(likelihood, priors, sampler="dynesty", nlive=500)  # doctest: +SKIP
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # notices at import
            from sciinf.adapters import _bilby
    except ModuleNotFoundError as error:
        if error.name != "bilby":
            raise
        raise MissingDependencyError(
            "as_bilby needs the package 'bilby', which is not installed. Install it with: pip install bilby"
        ) from None
    return _bilby.ProblemLikelihood(problem), _bilby.prior_dict(problem.priors)


def as_cobaya(problem: Problem) -> dict[str, Any]:
    """A problem as blocks of a cobaya input dictionary.

    Parameters
    ----------
    problem : Problem
        The likelihood and its prior.

    Returns
    -------
    dict
        Blocks ``likelihood`` (an external function that stops the run on an error), ``params`` (prior, ``ref``, ``latex``,
        ``periodic``; fixed values) and, where the density is no product of distributions that cobaya knows, ``prior``. Add a
        ``sampler`` and hand it to ``cobaya.run``.

    Raises
    ------
    ConfigError
        If a parameter's name is a keyword of Python: cobaya passes parameters as keyword arguments.

    Notes
    -----
    cobaya multiplies one-dimensional proper densities g_i from ``params`` with functions in ``prior``. A joint, conditional or
    constrained prior p is put as p = (prod_i g_i) (p / prod_i g_i): g_i is the parameter's own prior where it has one, uniform on a
    bounded support, else Student's t at the place and width of the prior; the ratio is the function. The product is exactly p and
    normalised, so evidences are right. ``ref`` is a normal density at the median and with the quartiles of 1,024 prior draws, from a
    fixed stream.

    Examples
    --------
    >>> from sciinf.calibration.analytic import gauss3
    >>> blocks = as_cobaya(gauss3().problem)
    >>> sorted(blocks), blocks["params"]["x0"]["prior"]
    (['likelihood', 'params'], {'min': -10.0, 'max': 10.0})
    """
    from sciinf.adapters._cobaya import cobaya_blocks

    return cobaya_blocks(problem)
