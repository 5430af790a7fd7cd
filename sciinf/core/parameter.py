"""A named quantity with its prior."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sciinf.core.conditional import ConditionalPrior
from sciinf.core.errors import ConfigError, PriorError, shown
from sciinf.core.prior_base import Fixed, Prior

__all__ = ["Parameter", "check_name"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def check_name(name: str) -> str:
    """Return ``name`` if it may name a parameter.

    Raises
    ------
    ConfigError
        Unless it matches ``[A-Za-z][A-Za-z0-9_]*``.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"a parameter name must match [A-Za-z][A-Za-z0-9_]* (letters, digits, underscore; no spaces), got {shown(name)}")
    return name


@dataclass(frozen=True)
class Parameter:
    r"""A named quantity with its prior, unit and LaTeX label.

    Parameters
    ----------
    name : str
        Matches ``[A-Za-z][A-Za-z0-9_]*``.
    prior : Prior or ConditionalPrior
        One-dimensional prior; `Fixed` for a value that is passed to the engine but not sampled; a `ConditionalPrior` for one whose
        numbers follow from earlier parameters.
    unit : str
        For tables and labels; empty for dimensionless.
    latex : str
        Label without dollar signs; the name where empty.
    periodic : bool
        Whether the two ends of the prior's (finite) support are the same point.

    Raises
    ------
    ConfigError
        If the name is not allowed.
    PriorError
        If ``prior`` is neither, or a periodic parameter has an infinite support.

    Examples
    --------
    >>> from sciinf.core.priors import Uniform
    >>> Parameter("spacing", Uniform(1.0, 10.0), unit="Hz", latex=r"\Delta f").label
    '\\Delta f\\ [\\mathrm{Hz}]'
    """

    name: str
    prior: Prior | ConditionalPrior
    unit: str = ""
    latex: str = ""
    periodic: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        if not isinstance(self.prior, (Prior, ConditionalPrior)):
            raise PriorError(f"parameter '{self.name}': prior must be a Prior such as Uniform(0, 1), got {type(self.prior).__name__}")
        low, high = self.prior.support or (float("-inf"), float("inf"))
        if self.periodic and not (low > float("-inf") and high < float("inf")):
            raise PriorError(f"parameter '{self.name}': a periodic parameter needs a finite support, got ({low:g}, {high:g})")

    @property
    def is_fixed(self) -> bool:
        """Whether the parameter is passed to the engine but not sampled."""
        return isinstance(self.prior, Fixed)

    @property
    def label(self) -> str:
        """LaTeX with its unit, for plots."""
        text = self.latex or self.name.replace("_", r"\_")
        return rf"{text}\ [\mathrm{{{self.unit}}}]" if self.unit else text
