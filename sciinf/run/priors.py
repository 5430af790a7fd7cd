"""From ``[parameters.NAME]`` and ``[priors.LABEL]`` tables, and the engine's defaults, to one prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from typing import Any

from sciinf.core.engine import Engine
from sciinf.core.errors import ConfigError, PriorError, nearest_names, shown
from sciinf.core.joint_priors import JOINT_PRIORS, Joint
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet, constrained
from sciinf.core.priors import PRIORS, Fixed
from sciinf.run.config import Config, JointTable, ParameterTable

__all__ = ["build_priors"]

Member = Parameter | Joint


def build_priors(config: Config, engine: Engine) -> tuple[PriorSet, tuple[str, ...]]:
    """The run's prior, and the names of those parameters that keep the engine's default.

    Raises
    ------
    ConfigError
        If a table names a parameter that the engine does not have, a prior or one of its keys is unknown, or a parameter has no prior
        at all; with file, table and nearest name.
    PriorError
        If a prior's numbers are wrong, or only some members of a default joint prior are replaced.
    """
    _check_names(config, engine)
    default = _default_priors(engine)
    given = {table.name: table for table in config.parameters}
    joints = {name: table for table in config.joints for name in table.names}
    if default is not None and not given and not joints:
        return default, tuple(engine.parameters)
    members: list[Member] = []
    for member in default.members if default is not None else ():
        _take(config, member, given, joints, members)
    placed = {name for member in members for name in _names_of(member)}
    for name in engine.parameters:
        if name not in placed and (name in given or name in joints):
            member = _joint(config, joints[name]) if name in joints else _parameter(config, given[name], None)
            members.append(member)
            placed.update(_names_of(member))
    if missing := [name for name in engine.parameters if name not in placed]:
        tables = ", ".join(f"[parameters.{name}]" for name in missing)
        raise ConfigError(
            f"{config.source}: the engine has no default prior for {', '.join(missing)}. Add {tables} with 'prior' or 'fixed'"
        )
    kept = tuple(name for name in engine.parameters if name not in joints and not _sets_prior(given.get(name)))
    return _with_regions(config, PriorSet(members), default), kept


def _sets_prior(table: ParameterTable | None) -> bool:
    """Whether a table says more than labels."""
    return table is not None and (table.prior is not None or table.fixed is not None)


def _names_of(member: Member) -> tuple[str, ...]:
    return tuple(member.names) if isinstance(member, Joint) else (member.name,)


def _default_priors(engine: Engine) -> PriorSet | None:
    """The engine's priors, or None where it has none."""
    try:
        return engine.default_priors()
    except ConfigError:
        return None


def _check_names(config: Config, engine: Engine) -> None:
    """Every table must name a parameter of the engine."""
    places = [(f"[parameters.{table.name}]", table.name) for table in config.parameters]
    places += [(f"[priors.{table.label}] names", name) for table in config.joints for name in table.names]
    for place, name in places:
        if name not in engine.parameters:
            raise ConfigError(
                f"{config.source}: {place}: the engine has no parameter {shown(name)}: {nearest_names(name, engine.parameters)}"
            )


def _take(
    config: Config, member: Member, given: Mapping[str, ParameterTable], joints: Mapping[str, JointTable], members: list[Member]
) -> None:
    """Append a default member, or what the config puts in its place."""
    names = _names_of(member)
    touched = [name for name in names if name in joints or _sets_prior(given.get(name))]
    if not touched:
        members.append(_relabelled(config, member, given))
        return
    if len(touched) < len(names):
        raise PriorError(
            f"{config.source}: {', '.join(touched)} has a joint default prior with {', '.join(n for n in names if n not in touched)}; "
            "one member of a joint prior cannot be replaced alone. Give a prior for each of them"
        )
    for name in names:
        if name in joints:
            if not any(name in _names_of(placed) for placed in members):
                members.append(_joint(config, joints[name], given))
        else:
            members.append(_parameter(config, given[name], member))


def _relabelled(config: Config, member: Member, given: Mapping[str, ParameterTable]) -> Member:
    """A default member with the labels that the config gives it."""
    if isinstance(member, Parameter):
        table = given.get(member.name)
        return member if table is None else _parameter(config, table, member)
    units, latex = _labels(given, member.names)
    units = [new or old for new, old in zip(units, member.units, strict=True)]
    latex = [new or old for new, old in zip(latex, member.latex, strict=True)]
    return replace(member, units=tuple(units), latex=tuple(latex))


def _labels(given: Mapping[str, ParameterTable], names: Any) -> tuple[list[str], list[str]]:
    """Units and LaTeX that the config gives to the members of a joint prior; empty where it gives none."""
    tables = [given.get(name) for name in names]
    return [(table.unit if table else None) or "" for table in tables], [(table.latex if table else None) or "" for table in tables]


def _parameter(config: Config, table: ParameterTable, default: Member | None) -> Parameter:
    """The parameter of a table; what it leaves out comes from the default."""
    place = f"{config.source}: [parameters.{table.name}]"
    unit, latex, periodic = "", "", False
    if isinstance(default, Parameter):
        unit, latex, periodic = default.unit, default.latex, default.periodic and not _sets_prior(table)
    elif default is not None:
        index = list(default.names).index(table.name)
        unit, latex = default.units[index], default.latex[index]
    if table.fixed is not None:
        prior: Any = Fixed(table.fixed)
    elif table.prior is not None:
        prior = _prior(place, "prior", table.prior, table.numbers or {}, PRIORS)
    elif isinstance(default, Parameter):
        prior = default.prior
    else:
        raise ConfigError(f"{place} has labels but no prior, and the engine has no default for it. Add 'prior' or 'fixed'")
    chosen = periodic if table.periodic is None else table.periodic
    try:
        return Parameter(table.name, prior, unit=unit if table.unit is None else table.unit, latex=table.latex or latex, periodic=chosen)
    except PriorError as error:
        raise PriorError(f"{place}: {error}") from error


def _joint(config: Config, table: JointTable, given: Mapping[str, ParameterTable] | None = None) -> Joint:
    """The joint member of a ``[priors.LABEL]`` table."""
    place = f"{config.source}: [priors.{table.label}]"
    units, latex = _labels(given or {item.name: item for item in config.parameters}, table.names)
    prior = _prior(place, "kind", table.kind, table.numbers, JOINT_PRIORS)
    try:
        return Joint(table.names, prior, units=units, latex=latex)
    except (PriorError, ConfigError) as error:
        raise type(error)(f"{place}: {error}") from error


def _prior(place: str, key: str, kind: str, numbers: Mapping[str, Any], kinds: Mapping[str, type]) -> Any:
    """A prior of a named kind from its keys."""
    if kind not in kinds:
        raise ConfigError(f"{place} {key} = {shown(kind)} is not known: {nearest_names(kind, kinds)}")
    allowed = {item.name: item for item in fields(kinds[kind]) if item.init}
    for name in numbers:
        if name not in allowed:
            labels = () if key == "kind" else ("latex", "unit", "periodic")
            raise ConfigError(f"{place} {key} = {kind!r} has an unknown key {shown(name)}: {nearest_names(name, (*allowed, *labels))}")
    required = [name for name, item in allowed.items() if item.default is MISSING and item.default_factory is MISSING]
    if missing := [name for name in required if name not in numbers]:
        raise ConfigError(f"{place} {key} = {kind!r} needs {', '.join(missing)} (its keys: {', '.join(allowed) or 'none'})")
    try:
        return kinds[kind](**numbers)
    except (PriorError, ConfigError) as error:
        raise PriorError(f"{place}: {error}") from error
    except (TypeError, ValueError) as error:
        raise PriorError(f"{place} {key} = {kind!r} cannot use {shown(dict(numbers))}: {error}") from error


def _with_regions(config: Config, result: PriorSet, default: PriorSet | None) -> PriorSet:
    """The regions of the engine's default prior, cut from the new one."""
    if default is None:
        return result
    same = result.describe().get("members") == default.describe().get("members")
    if same and (result.latex, result.units) == (default.latex, default.units):
        return default
    for region in default.regions:
        if region.takes_vector and result.names != default.names:
            raise PriorError(
                f"{config.source}: the engine's region '{region.name}' needs the sampled parameters {', '.join(default.names)}, "
                f"this config has {', '.join(result.names)}"
            )
        try:
            result = constrained(result, region.name, region.predicate, region.version, region.mass if same else None)
        except PriorError as error:
            raise PriorError(f"{config.source}: {error}") from error
    return result
