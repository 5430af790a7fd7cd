"""Flat LambdaCDM's default priors: the box `lcdm`, and the form that samples H0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sciinf.core.errors import ConfigError
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet, constrained
from sciinf.core.priors import Uniform
from sciinf.core.region import of_arrays
from sciinf.engines.cmb.background import Background, theta_mc_kernel
from sciinf.engines.cmb.theory import LATEX, PARAMETERS, UNITS, Theory

__all__ = ["H0_RANGE", "LCDM_BOX", "theory_priors", "theta_mc_in_box"]

LCDM_BOX = {
    "omega_b": (0.0200, 0.0250),
    "omega_c": (0.105, 0.135),
    "theta_mc": (1.036, 1.046),
    "tau": (0.01, 0.12),
    "logA": (2.85, 3.25),
    "n_s": (0.91, 1.02),
}
"""Box of the shipped emulator and of the default priors; a choice: wide enough for TTTEEE, TT and TE with lowE, not for EE alone."""

H0_RANGE = (55.0, 80.0)
"""Default range of a uniform prior on H0, km/s/Mpc."""

_BACKGROUND = Background()


@of_arrays
def theta_mc_in_box(omega_b: Any, omega_c: Any, H0: Any) -> Any:
    """Whether 100 theta_MC of a flat model (default neutrinos) lies in the box `lcdm`, for numbers or for arrays.

    Examples
    --------
    >>> theta_mc_in_box(0.02237, 0.12, 67.4), theta_mc_in_box(0.02237, 0.12, 75.0)
    (True, False)
    """
    low, high = LCDM_BOX["theta_mc"]
    if np.ndim(H0):
        theta_mc = _BACKGROUND.theta_mc(omega_b, omega_c, H0)
        return (low <= theta_mc) & (theta_mc <= high)
    return bool(low <= theta_mc_kernel(omega_b, omega_c, H0, _BACKGROUND.table, 0) <= high)


def theory_priors(theory: Theory, nuisance: Sequence[Parameter] = ()) -> PriorSet:
    """Default priors of a theory, followed by ``nuisance``.

    Parameters
    ----------
    theory : Theory
        Its own ``default_priors()`` where it has one; else uniform over its ``domain()``, or over `LCDM_BOX` for a theory without a box
        that has LambdaCDM's parameters. H0 is uniform over `H0_RANGE`, cut where a theory has a box to the models whose theta_MC lies
        inside it (normalised).
    nuisance : sequence of Parameter
        Further members.

    Raises
    ------
    ConfigError
        If a parameter of the theory has no default prior.
    """
    method = getattr(theory, "default_priors", None)
    if callable(method):
        return PriorSet([*method().members, *nuisance])
    domain = theory.domain()
    flat_lcdm = all(name in PARAMETERS or name == "H0" for name in theory.parameters)
    box = dict(LCDM_BOX if domain is None and flat_lcdm else domain or {})
    if flat_lcdm and "H0" in theory.parameters:
        box.setdefault("H0", H0_RANGE)
    missing = [name for name in theory.parameters if name not in box]
    if missing:
        raise ConfigError(f"{type(theory).__name__} has no default prior for {', '.join(missing)}: build a PriorSet of your own")
    members = [Parameter(name, Uniform(*box[name]), unit=UNITS.get(name, ""), latex=LATEX.get(name, "")) for name in theory.parameters]
    priors = PriorSet([*members, *nuisance])
    if domain is not None and "H0" in theory.parameters and "H0" not in domain:
        return constrained(priors, "theta_mc_in_box", theta_mc_in_box, version=1)
    return priors
