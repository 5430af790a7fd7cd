"""Every error and warning that sciinf raises, in one tree."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "ConvergenceError",
    "DataError",
    "DataTypeError",
    "LikelihoodError",
    "MissingDependencyError",
    "NotFittedError",
    "PriorError",
    "ResumeError",
    "SciinfError",
    "SciinfWarning",
    "nearest_names",
    "shown",
]


class SciinfError(Exception):
    """Base of every error of this package."""


class ConfigError(SciinfError, ValueError):
    """A setting, key or name is wrong."""


class PriorError(SciinfError, ValueError):
    """A prior's numbers are wrong, or it does not fit the engine."""


class DataError(SciinfError, ValueError):
    """Input data are missing, malformed or not the expected ones."""


class DataTypeError(DataError, TypeError):
    """Input data have a type that cannot be used."""


class LikelihoodError(SciinfError):
    """A likelihood returned something that is not a log-likelihood."""


class ConvergenceError(SciinfError):
    """An iteration ended without reaching its tolerance."""


class ResumeError(SciinfError):
    """A run cannot be continued from what is on disk."""


class MissingDependencyError(SciinfError, ImportError):
    """An optional dependency is not installed."""

    @classmethod
    def for_extra(cls, module: str, extra: str, purpose: str) -> MissingDependencyError:
        """Error for ``module`` missing, naming the ``extra`` that brings it.

        Examples
        --------
        >>> print(MissingDependencyError.for_extra("camb", "cmb", "CAMBTheory"))
        CAMBTheory needs the package 'camb', which is not installed. Install it with: pip install "sciinf[cmb]"
        """
        return cls(f"{purpose} needs the package '{module}', which is not installed. Install it with: pip install \"sciinf[{extra}]\"")


class NotFittedError(SciinfError, ValueError, AttributeError):
    """A result was asked for before ``fit``."""


class SciinfWarning(UserWarning):
    """Base of every warning of this package."""


_LONGEST = 200  # characters of a value that a message shows


def shown(value: object) -> str:
    """``repr(value)`` for a message: cut where it is long, and possible for an integer of any size.

    Examples
    --------
    >>> shown("tau"), shown(10**5000)
    ("'tau'", 'an integer of 16610 bits')
    >>> len(shown("x" * 5000))
    221
    """
    try:
        text = repr(value)
    except ValueError:  # Python does not write integers of more than some thousand digits
        return f"an integer of {value.bit_length()} bits" if isinstance(value, int) else f"a {type(value).__name__} too long to show"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def nearest_names(name: str, allowed: Iterable[str]) -> str:
    """Part of a message that helps with a misspelt ``name``: the nearest valid names, or all of them.

    Examples
    --------
    >>> nearest_names("omega_bb", ["omega_b", "omega_c", "tau"])
    "did you mean 'omega_b' or 'omega_c'? Allowed: omega_b, omega_c, tau"
    >>> nearest_names("zzz", ["tau"])
    'allowed: tau'
    """
    names = [str(item) for item in allowed]
    listing = ", ".join(names) if names else "none"
    near = difflib.get_close_matches(str(name), names, n=2, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(repr(item) for item in near)}? Allowed: {listing}"
    return f"allowed: {listing}"
