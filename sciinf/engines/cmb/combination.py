"""Which components may stand together, and their nuisance parameters united."""

from __future__ import annotations

from sciinf.core.errors import ConfigError
from sciinf.core.parameter import Parameter
from sciinf.engines.cmb.component import Component
from sciinf.engines.cmb.theory import Theory

__all__ = ["OVERLAPS", "check_overlaps", "united_nuisances"]

OVERLAPS: tuple[tuple[str, str, str], ...] = (
    ("low_tt_bins", "commander", "both use TT at l 2-29"),
    ("pixel_teb", "low_tt_bins", "both use TT at l 2-29"),
    ("pixel_teb", "commander", "both use TT at l 2-29"),
    ("pixel_teb", "low_ee", "both use EE at l 2-29"),
    ("plik_lite", "plik_style", "both use TT, TE, EE at l >= 30"),
    *(
        ("lensing_marginalised", other, "its covariance already marginalises the CMB spectra")
        for other in ("plik_lite", "plik_style", "low_tt_bins", "commander", "low_ee", "pixel_teb", "lensing")
    ),
)
"""Pairs of components that use the same data twice, and why."""


def check_overlaps(components: tuple[Component, ...]) -> None:
    """ConfigError for two components of one name, or a refused pair."""
    names = [component.name for component in components]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ConfigError(f"two components are called '{name}': the same data would be used twice")
    for one, other, rule in OVERLAPS:
        if one in names and other in names:
            raise ConfigError(f"components {one} and {other} cannot be combined: {rule}. Leave one out")


def united_nuisances(theory: Theory, components: tuple[Component, ...]) -> tuple[Parameter, ...]:
    """Nuisance parameters in component order, each once; ConfigError where two components disagree about a prior."""
    found: dict[str, tuple[Parameter, str]] = {}
    for component in components:
        members = {member.name: member for member in component.default_priors().members if isinstance(member, Parameter)}
        for name in component.nuisance:
            if name in theory.parameters:
                raise ConfigError(f"component {component.name}: nuisance parameter '{name}' has the name of a theory parameter")
            if name not in members:
                raise ConfigError(f"component {component.name} gives no default prior for its nuisance parameter '{name}'")
            known = found.setdefault(name, (members[name], component.name))
            if known[0].prior.describe() != members[name].prior.describe():
                raise ConfigError(
                    f"nuisance parameter '{name}' has two default priors: {known[0].prior} in {known[1]}, "
                    f"{members[name].prior} in {component.name}"
                )
    return tuple(member for member, _ in found.values())
