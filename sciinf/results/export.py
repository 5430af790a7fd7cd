"""A posterior in the forms that other packages read: ArviZ, GetDist, corner, pandas, and text chains."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sciinf.core.atomic import atomic_path, write_text
from sciinf.core.errors import ConfigError, DataError, MissingDependencyError, nearest_names
from sciinf.results.diagnostics import chains_of

if TYPE_CHECKING:
    import pandas

    from sciinf.results.posterior import Posterior

__all__ = ["GETDIST_NAMES", "to_arviz", "to_corner", "to_frame", "to_getdist", "write_getdist"]

Names = Mapping[str, str] | Literal["getdist"] | None
Ranges = Mapping[str, Sequence[float | None]] | None

GETDIST_NAMES: dict[str, str] = {
    "omega_b": "omegabh2",
    "omega_c": "omegach2",
    "theta_mc": "theta_MC_100",
    "theta_MC": "theta_MC_100",
    "tau": "tau",
    "logA": "logA",
    "n_s": "ns",
    "A_planck": "A_planck",
    "H0": "H0",
    "Omega_m": "omegam",
    "sigma8": "sigma8",
    "age": "age",
}
"""Names that CosmoMC, GetDist and the Planck chains use, by ours; what ``names="getdist"`` means."""


def _optional(module: str, extra: str, purpose: str) -> Any:
    """Import an optional package, without the notices that some print at import."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError.for_extra(module, extra, purpose) from error


def _arviz_columns(posterior: Posterior, rng: np.random.Generator | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Quantities and sampler statistics as (chain, draw) arrays by name."""
    statistics = {
        "lp": posterior.log_likelihood + posterior.log_prior,
        "ln_likelihood": posterior.log_likelihood,  # ArviZ keeps the name log_likelihood for a group of pointwise values
        "ln_prior": posterior.log_prior,
    }
    quantities = {name: posterior.column(name) for name in posterior.names + posterior.derived_names}
    if posterior.is_mcmc and not posterior.is_weighted:
        return tuple({name: chains_of(posterior, values) for name, values in group.items()} for group in (quantities, statistics))  # type: ignore[return-value]
    if posterior.is_weighted and rng is None:
        raise ConfigError("to_arviz resamples weighted samples to equal weights: pass rng=numpy.random.default_rng(seed)")
    index = np.arange(len(posterior)) if rng is None else posterior.equal_weight_indices(rng)
    return tuple({name: values[index][None, :] for name, values in group.items()} for group in (quantities, statistics))  # type: ignore[return-value]


def to_arviz(posterior: Posterior, *, rng: np.random.Generator | None = None) -> Any:
    """The posterior for ArviZ: ``InferenceData`` in 0.x, a ``DataTree`` in 1.x.

    Parameters
    ----------
    posterior : Posterior
        Chains keep their chains (walkers) and draws; weighted samples are resampled to one chain of equal weights.
    rng : Generator, optional
        Draws the resampling; needed for weighted samples only.

    Returns
    -------
    InferenceData or DataTree
        Groups ``posterior`` (sampled and derived quantities) and ``sample_stats`` (``lp``, ``ln_likelihood``, ``ln_prior``).

    Raises
    ------
    MissingDependencyError
        If ArviZ is not installed.
    ConfigError
        If the samples are weighted and no ``rng`` is given.
    """
    arviz = _optional("arviz", "arviz", "export.to_arviz")
    quantities, statistics = _arviz_columns(posterior, rng)
    if int(str(arviz.__version__).split(".", 1)[0]) >= 1:
        return arviz.from_dict({"posterior": quantities, "sample_stats": statistics})
    return arviz.from_dict(posterior=quantities, sample_stats=statistics)


def _outside_names(posterior: Posterior, names: Names) -> list[str]:
    """Names of all quantities as the other package is to see them."""
    own = posterior.names + posterior.derived_names
    if isinstance(names, str) and names != "getdist":
        raise ConfigError(f"names must be a dictionary of ours to theirs, 'getdist' or None, got {names!r}")
    mapping = {ours: theirs for ours, theirs in GETDIST_NAMES.items() if ours in own} if names == "getdist" else dict(names or {})
    for ours, theirs in mapping.items():
        if ours not in own:
            raise ConfigError(f"names maps '{ours}', which the posterior does not have: {nearest_names(ours, own)}")
        if not theirs or any(sign in theirs for sign in " \t\n*?"):
            raise ConfigError(f"names maps '{ours}' to {theirs!r}: a GetDist name has no blanks, '*' or '?'")
    renamed = [mapping.get(name, name) for name in own]
    if len(set(renamed)) != len(renamed):
        raise ConfigError(f"names must give different names, got {renamed}")
    return renamed


def _ranges(posterior: Posterior, ranges: Ranges) -> dict[str, tuple[float | None, float | None]]:
    """Hard ends by our names, None for an infinite one; from the posterior's notes where not given."""
    own = posterior.names + posterior.derived_names
    ends: dict[str, tuple[float | None, float | None]] = {}
    for name, pair in dict(posterior.meta.get("supports") or {} if ranges is None else ranges).items():
        if name not in own:
            if ranges is None:
                continue
            raise ConfigError(f"ranges names '{name}', which the posterior does not have: {nearest_names(name, own)}")
        if len(pair) != 2:
            raise ConfigError(f"ranges of '{name}' must be a pair (low, high), got {pair!r}")
        low, high = (None if end is None or not math.isfinite(end) else float(end) for end in pair)
        ends[name] = (low, high)
    return ends


def _chain_order(posterior: Posterior) -> NDArray[np.int64]:
    """Indices of the points that carry weight: chain after chain, steps in order; or as they are."""
    order = np.arange(len(posterior))
    if posterior.chain is not None and posterior.draw is not None:
        order = np.lexsort((posterior.draw, posterior.chain))
    return np.asarray(order[posterior.weights[order] > 0.0], dtype=np.int64)


def _getdist_columns(posterior: Posterior) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weights (largest 1), -ln posterior density, and quantities (n, n_dim + k) of the points that carry weight."""
    order = _chain_order(posterior)
    weights = posterior.weights[order] / np.max(posterior.weights)
    values = np.hstack([posterior.samples, posterior.derived])[order]
    if (bad := np.argwhere(~np.isfinite(values))).size:
        name = (posterior.names + posterior.derived_names)[bad[0, 1]]
        raise DataError(f"'{name}' is not finite at {len(bad)} point(s) that carry weight: GetDist cannot read such chains")
    return weights, -(posterior.log_likelihood + posterior.log_prior)[order], values


def _sampler_kind(posterior: Posterior) -> str:
    return "mcmc" if posterior.is_mcmc else "nested" if posterior.is_weighted else "uncorrelated"


def write_getdist(posterior: Posterior, root: Path | str, *, names: Names = None, ranges: Ranges = None) -> list[Path]:
    """Write text chains that GetDist, CosmoMC and Cobaya users read.

    Parameters
    ----------
    posterior : Posterior
        What to write; points of zero weight are left out.
    root : path
        Files are ``root.txt`` (weight, -ln posterior density, sampled, derived quantities), ``root.paramnames`` (name, LaTeX; ``*`` after
        derived names), ``root.ranges`` (name, low, high; N for an infinite end) and ``root.properties.ini`` (kind of samples).
    names : dict of str to str, "getdist" or None
        Their names by ours; "getdist" for the names of the Planck chains (`GETDIST_NAMES`).
    ranges : dict of str to (low, high), optional
        Hard ends by our names; ``meta["supports"]`` where not given.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ConfigError
        If ``names`` or ``ranges`` name an unknown quantity, or two names fall together.
    DataError
        If a derived quantity is not finite, or the folder does not exist.
    """
    root = Path(root)
    if not root.parent.is_dir():
        raise DataError(f"cannot write {root.name}.txt: its folder does not exist. Create it first")
    outside, ends = _outside_names(posterior, names), _ranges(posterior, ranges)
    weights, minus_log_posterior, values = _getdist_columns(posterior)
    files = [root.with_name(root.name + suffix) for suffix in (".txt", ".paramnames", ".ranges", ".properties.ini")]
    with atomic_path(files[0]) as temporary:
        np.savetxt(temporary, np.column_stack([weights, minus_log_posterior, values]), fmt="%.12e")
    latex = posterior.latex + posterior.derived_latex
    marks = [""] * posterior.n_dim + ["*"] * len(posterior.derived_names)
    write_text(files[1], "".join(f"{name}{mark}\t{label}\n" for name, mark, label in zip(outside, marks, latex, strict=True)))
    lines = []
    for ours, theirs in zip(posterior.names + posterior.derived_names, outside, strict=True):
        low, high = ("N" if end is None else f"{end:.12e}" for end in ends.get(ours, (None, None)))
        lines.append(f"{theirs} {low} {high}\n")
    write_text(files[2], "".join(lines))
    write_text(files[3], f"sampler = {_sampler_kind(posterior)}\nburn_removed = True\n")
    return files


def to_getdist(posterior: Posterior, root: Path | str | None = None, *, names: Names = None, ranges: Ranges = None) -> Any:
    """The posterior as ``getdist.MCSamples``; with ``root``, written as text chains too (see `write_getdist` for the parameters).

    Raises
    ------
    MissingDependencyError
        If GetDist is not installed.
    ConfigError, DataError
        As `write_getdist`.
    """
    if root is not None:
        write_getdist(posterior, root, names=names, ranges=ranges)
    getdist = _optional("getdist", "getdist", "export.to_getdist")
    outside, ends = _outside_names(posterior, names), _ranges(posterior, ranges)
    weights, minus_log_posterior, values = _getdist_columns(posterior)
    own = posterior.names + posterior.derived_names
    samples = getdist.MCSamples(
        samples=values,
        weights=weights,
        loglikes=minus_log_posterior,
        names=outside,
        labels=list(posterior.latex + posterior.derived_latex),
        ranges={outside[own.index(name)]: list(pair) for name, pair in ends.items()},
        sampler=_sampler_kind(posterior),
    )
    for name in outside[posterior.n_dim :]:
        samples.paramNames.parWithName(name).isDerived = True
    return samples


def to_corner(posterior: Posterior, *, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Keywords for ``corner.corner(**...)``: ``data``, ``weights`` and ``labels`` of the named quantities (default: the sampled ones).

    Examples
    --------
    >>> from sciinf.results.posterior import Posterior
    >>> posterior = Posterior(np.zeros((2, 1)), np.zeros(2), np.zeros(2), np.zeros(2), ("x",), units=("Hz",))
    >>> to_corner(posterior)["labels"]
    ['$x$ [Hz]']
    """
    chosen = tuple(posterior.names if names is None else names)
    label = dict(zip(posterior.names + posterior.derived_names, posterior.latex + posterior.derived_latex, strict=True))
    unit = dict(zip(posterior.names, posterior.units, strict=True))
    return {
        "data": np.column_stack([posterior.column(name) for name in chosen]),
        "weights": np.array(posterior.weights),
        "labels": [f"${label[name]}$" + (f" [{unit[name]}]" if unit.get(name) else "") for name in chosen],
    }


def to_frame(posterior: Posterior) -> pandas.DataFrame:
    """A pandas DataFrame: sampled and derived quantities, then weight, log_likelihood, log_prior, and chain, draw, run where they exist.

    Raises
    ------
    MissingDependencyError
        If pandas is not installed.
    """
    pandas = _optional("pandas", "arviz", "export.to_frame")
    columns: dict[str, NDArray[Any]] = {name: posterior.column(name) for name in posterior.names + posterior.derived_names}
    columns |= {"weight": posterior.weights, "log_likelihood": posterior.log_likelihood, "log_prior": posterior.log_prior}
    columns |= {name: getattr(posterior, name) for name in ("chain", "draw", "run") if getattr(posterior, name) is not None}
    return pandas.DataFrame({name: np.array(values) for name, values in columns.items()})
