"""The rows of a report's tables: plain dictionaries that the template lays out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sciinf.core.joint_priors import JOINT_PRIORS
from sciinf.core.priors import PRIORS
from sciinf.run.labels import format_interval, format_number, format_plus_minus, latex_svg, pull_svg

if TYPE_CHECKING:
    from sciinf.results.posterior import Posterior
    from sciinf.results.summary import Row, Summary

__all__ = ["Reference", "component_rows", "describe_prior", "label_of", "prior_rows", "result_groups", "shift_in_sigma"]

Reference = tuple[float, float, str]
"""Published mean, standard deviation and where they come from."""

_CHI2 = "chi2__"
_KEYS = {
    prior.__name__: [item.name for item in fields(prior) if item.init]  # type: ignore[arg-type]
    for prior in (*PRIORS.values(), *JOINT_PRIORS.values())
}
"""Keys of each prior in the order in which people give them; JSON forgets it."""


def label_of(posterior: Posterior, name: str) -> Any:
    """The quantity's LaTeX label as inline SVG; empty where the label is only the name."""
    from markupsafe import Markup

    labels = dict(zip(posterior.names + posterior.derived_names, posterior.latex + posterior.derived_latex, strict=True))
    latex = labels.get(name, "")
    if latex in ("", name.replace("_", r"\_")):
        return ""
    return Markup(latex_svg(latex, fallback=name))  # our own SVG; the fallback is escaped there


def shift_in_sigma(mean: float, std: float, reference: Reference) -> float:
    """Difference from a published mean in units of the published standard deviation."""
    return (mean - reference[0]) / reference[1] if std > 0 and reference[1] > 0 else math.nan


def _row(posterior: Posterior, row: Row, references: Mapping[str, Reference]) -> dict[str, Any]:
    """One line of the result table."""
    from markupsafe import Markup

    result: dict[str, Any] = {
        "name": row.name,
        "label": label_of(posterior, row.name),
        "unit": row.unit,
        "mean": format_plus_minus(row.mean, row.std),
        "interval": format_interval(row.low, row.high),
        "best": format_number(row.best, row.std),
        "published": "",
        "shift": "",
        "glyph": "",
    }
    if row.name in references:
        reference = references[row.name]
        shift = shift_in_sigma(row.mean, row.std, reference)
        result["published"] = format_plus_minus(reference[0], reference[1])
        result["shift"] = f"{shift:+.2f} σ".replace("-", "−")
        result["glyph"] = Markup(pull_svg(shift))
    return result


def result_groups(posterior: Posterior, summary: Summary, references: Mapping[str, Reference], *, components: bool) -> list[dict[str, Any]]:
    """The result table: sampled and derived quantities; chi2 columns too, unless a table of ``components`` shows them."""
    parts = [
        ("", [row for row in summary.rows if not row.derived]),
        ("Derived", [row for row in summary.rows if row.derived and not row.name.startswith(_CHI2)]),
        ("χ² over the posterior", [row for row in summary.rows if row.name.startswith(_CHI2) and not components]),
    ]
    return [{"title": title, "rows": [_row(posterior, row, references) for row in rows]} for title, rows in parts if rows]


def component_rows(parts: Mapping[str, float], summary: Summary) -> list[dict[str, Any]]:
    """chi2 per component: at the best sample, and over the posterior where the engine derives it."""
    spread = {row.name: format_plus_minus(row.mean, row.std) for row in summary.rows if row.name.startswith(_CHI2)}
    return [
        {"name": name.removeprefix(_CHI2), "value": _chi2(value), "spread": spread.get(_CHI2 + name.removeprefix(_CHI2), "")}
        for name, value in [*parts.items(), ("total", sum(parts.values()))]
    ]


def _chi2(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _short(value: Any) -> str:
    """A prior's number or array, short."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:g}".replace("-", "−")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_short(item) for item in value)}]" if len(value) <= 6 else f"[{len(value)} numbers]"
    return str(value)


def describe_prior(described: Mapping[str, Any]) -> str:
    """What a prior's ``describe()`` says, for people.

    Examples
    --------
    >>> describe_prior({"kind": "Normal", "mean": 0.06, "std": 0.01})
    'Normal(mean = 0.06, std = 0.01)'
    """
    kind = str(described.get("kind", "prior"))
    order = {name: i for i, name in enumerate(_KEYS.get(kind, ()))}
    keys = sorted((key for key in described if key != "kind" and described[key] is not None), key=lambda key: order.get(key, len(order)))
    return f"{kind}({', '.join(f'{key} = {_short(described[key])}' for key in keys)})"


def prior_rows(posterior: Posterior, described: Mapping[str, Any], given: Iterable[str] | None) -> list[dict[str, Any]]:
    """One line per member and region of a prior set's ``describe()``; ``given`` names the parameters that the config sets."""
    chosen = None if given is None else set(given)
    rows = []
    for member in described.get("members", []):
        names: Sequence[str] = member["names"] if "names" in member else [member["name"]]
        origin = "" if chosen is None else ("config" if chosen & set(names) else "engine's default")
        text = describe_prior(member.get("prior", {})) + (", periodic" if member.get("periodic") is True else "")
        label = label_of(posterior, names[0]) if len(names) == 1 else ""
        rows.append({"name": ", ".join(names), "label": label, "prior": text, "origin": origin})
    for region in described.get("regions", []):
        text = f"region {region.get('predicate')}, version {region.get('version')}, normalised"
        rows.append({"name": str(region.get("name")), "label": "", "prior": text, "origin": "" if chosen is None else "engine's default"})
    return rows
