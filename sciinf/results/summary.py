"""The table of a posterior: for people as text, for programs as JSON or a data frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sciinf.core.errors import ConfigError, MissingDependencyError, nearest_names
from sciinf.results import diagnostics
from sciinf.results.weights import weighted_covariance, weighted_quantile

if TYPE_CHECKING:
    import pandas

    from sciinf.results.posterior import Posterior

__all__ = ["Edge", "Note", "Row", "Summary", "edge_report", "notes_of", "summarise"]

_INTERVAL = (0.15865525393145707, 0.8413447460685429)  # the normal distribution at -1 and +1 sigma: 68.27 %
_EDGE_WIDTH, _EDGE_MASS = 0.02, 0.01


class Edge(NamedTuple):
    """A parameter that leans on an edge of a box: its name, the side, the edge's value, and the mass near it."""

    name: str
    side: str
    value: float
    mass: float

    def __str__(self) -> str:
        return f"{self.name}: {100 * self.mass:.1f} % of the mass lies within 2 % of the box width from the {self.side} edge {self.value:g}"


class Note(NamedTuple):
    """What an engine says of a finished posterior, and whether it is as it should be."""

    text: str
    good: bool

    def __str__(self) -> str:
        return self.text if self.good else f"warning: {self.text}"


@dataclass(frozen=True)
class Row:
    """Figures of one quantity. ``low`` and ``high`` bound the central 68.27 %; ``best`` is its value at the best sample.

    ``ess_bulk`` and ``ess_tail`` are ArviZ's for chains (NaN otherwise) and ``autocorrelation_time`` is in kept draws (NaN otherwise);
    ``ess`` is the effective number behind ``mcse``, the Monte Carlo error of the mean.
    """

    name: str
    unit: str
    derived: bool
    mean: float
    std: float
    median: float
    low: float
    high: float
    best: float
    ess: float
    ess_bulk: float
    ess_tail: float
    autocorrelation_time: float
    mcse: float


def _json_number(value: Any) -> Any:
    """The value, or None for a float that JSON does not know."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _decimals(std: float) -> int | None:
    """Decimals that show three digits of ``std``; None where a plain number would be too long."""
    if not math.isfinite(std) or std <= 0.0:
        return None
    decimals = 2 - math.floor(math.log10(std))
    return max(decimals, 0) if -4 <= decimals <= 9 else None


def _text(value: float, decimals: int | None) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:.5g}" if decimals is None else f"{value:.{decimals}f}"


@dataclass(frozen=True)
class Summary:
    """Table of a posterior; ``str()`` gives the text.

    ``effective`` is the posterior's effective number of samples, ``rows`` the sampled then the derived quantities, ``edges`` what leans
    on the edge of the domain that was asked about, ``notes`` what the engine's own check says (`sciinf.core.engine.check_of`).
    """

    n_samples: int
    effective: float
    status: str
    log_evidence: float | None
    log_evidence_error: float | None
    information: float | None
    autocorrelation_time: float | None
    rows: tuple[Row, ...]
    edges: tuple[Edge, ...] = ()
    notes: tuple[Note, ...] = ()

    def __getitem__(self, name: str) -> Row:
        """Row of one quantity.

        Raises
        ------
        ConfigError
            If there is none of that name.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise ConfigError(f"the summary has no row '{name}': {nearest_names(name, [row.name for row in self.rows])}")

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON holds it; numbers that are not finite become None."""
        head = {key: _json_number(value) for key, value in asdict(self).items() if key not in ("rows", "edges", "notes")}
        rows = [{key: _json_number(value) for key, value in asdict(row).items()} for row in self.rows]
        edges, notes = ([item._asdict() for item in items] for items in (self.edges, self.notes))
        return {**head, "rows": rows, "edges": edges, "notes": notes}

    def to_frame(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame, indexed by name.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingDependencyError.for_extra("pandas", "arviz", "Summary.to_frame") from error
        return pandas.DataFrame([asdict(row) for row in self.rows]).set_index("name")

    def _head(self) -> list[str]:
        lines = [f"{self.n_samples} samples, {self.effective:.0f} effective; status {self.status.replace('_', ' ')}"]
        if self.log_evidence is not None:
            error = "" if self.log_evidence_error is None else f" +- {self.log_evidence_error:.4f}"
            information = "" if self.information is None else f"; information {self.information:.3f} nats"
            lines.append(f"log evidence {self.log_evidence:.4f}{error}{information}")
        if self.autocorrelation_time is not None:
            lines.append(f"longest autocorrelation time {self.autocorrelation_time:.1f} draws")
        return lines

    def __str__(self) -> str:
        chains = self.autocorrelation_time is not None
        header = ["", "mean", "std", "median", "68% low", "68% high", "best", "ESS", *(["bulk", "tail", "tau"] if chains else []), "MCSE"]
        table = [header]
        for row in self.rows:
            places = _decimals(row.std)
            values = [_text(value, places) for value in (row.mean, row.std, row.median, row.low, row.high, row.best)]
            sizes = [_text(row.ess, 0)]
            if chains:
                sizes += [_text(row.ess_bulk, 0), _text(row.ess_tail, 0), _text(row.autocorrelation_time, 1)]
            name = f"{row.name} [{row.unit}]" if row.unit else row.name
            table.append([("* " if row.derived else "") + name, *values, *sizes, f"{row.mcse:.2g}" if math.isfinite(row.mcse) else "-"])
        widths = [max(len(line[i]) for line in table) for i in range(len(header))]
        lines = [
            "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))]) for line in table
        ]
        lines = [*self._head(), "", *(line.rstrip() for line in lines), *(["* derived"] if any(row.derived for row in self.rows) else [])]
        return "\n".join([*lines, *map(str, self.edges), *map(str, self.notes)])


def edge_report(posterior: Posterior, domain: Mapping[str, tuple[float, float]] | None) -> tuple[Edge, ...]:
    """Sampled parameters with more than 1 % of their mass within 2 % of the box width from an edge of ``domain``.

    Parameters
    ----------
    posterior : Posterior
        What to look at.
    domain : dict of str to (low, high), optional
        Box by name, as an engine's ``domain()`` gives it; names that are not sampled and infinite edges are left out.

    Examples
    --------
    >>> from sciinf.results.posterior import Posterior
    >>> x = np.linspace(0.0, 1.0, 101)[:, None]
    >>> posterior = Posterior(x, np.zeros(101), np.zeros(101), np.zeros(101), ("x",))
    >>> [(edge.side, round(edge.mass, 3)) for edge in edge_report(posterior, {"x": (0.0, 5.0)})]
    [('lower', 0.099)]
    """
    edges = []
    for name, (low, high) in (domain or {}).items():
        if name not in posterior.names or not (math.isfinite(low) and math.isfinite(high)):
            continue
        values, margin = posterior.column(name), _EDGE_WIDTH * (high - low)
        for side, value, near in (("lower", low, values < low + margin), ("upper", high, values > high - margin)):
            mass = float(np.sum(posterior.weights[near]))
            if mass > _EDGE_MASS:
                edges.append(Edge(name, side, float(value), mass))
    return tuple(edges)


def notes_of(posterior: Posterior) -> tuple[Note, ...]:
    """What the engine's own check said of ``posterior``: its ``meta["check"]``, by topic {"text": a sentence, "good": bool}."""
    said = posterior.meta.get("check")
    entries = said.values() if isinstance(said, Mapping) else ()
    return tuple(
        Note(str(entry["text"]), bool(entry["good"])) for entry in entries if isinstance(entry, Mapping) and {"text", "good"} <= set(entry)
    )


def _row(posterior: Posterior, name: str, kish: float) -> Row:
    """Figures of one quantity."""
    derived = name not in posterior.names
    unit = "" if derived else posterior.units[posterior.names.index(name)]
    carries = posterior.weights > 0.0
    values, weights = posterior.column(name)[carries], posterior.weights[carries]
    with np.errstate(invalid="ignore"):  # a derived quantity may be infinite or NaN: its row then says so
        mean = float(weights @ values)
        std = float(np.sqrt(weighted_covariance(values[:, None], weights)[0, 0]))
        median, low, high = weighted_quantile(values, (0.5, *_INTERVAL), weights if posterior.is_weighted else None)
        size, bulk, tail, tau, error = kish, math.nan, math.nan, math.nan, float(np.sqrt(np.sum((weights * (values - mean)) ** 2)))
    if posterior.is_mcmc:
        draws = diagnostics.chains_of(posterior, posterior.column(name))
        bulk, tail, tau = diagnostics.ess_bulk(draws), diagnostics.ess_tail(draws), diagnostics.autocorrelation_time(draws)
        size = kish / max(1.0, tau)
        error *= math.sqrt(max(1.0, tau))
    return Row(
        *(name, unit, derived, mean, std, float(median), float(low), float(high), float(posterior.column(name)[posterior.best])),
        *(size, bulk, tail, tau, error),
    )


def summarise(posterior: Posterior, *, domain: Mapping[str, tuple[float, float]] | None = None) -> Summary:
    """Table of ``posterior``; with ``domain`` (a box by name), its edge report too.

    Notes
    -----
    The Monte Carlo error of a mean is sqrt(sum w_i^2 (x_i - m)^2), the delta-method error of a ratio of weighted sums, times
    sqrt(tau) for chains; ``ess`` is Kish's number over tau.

    Examples
    --------
    >>> from sciinf.results.posterior import Posterior
    >>> x = np.array([[0.0], [1.0], [2.0]])
    >>> print(summarise(Posterior(x, np.zeros(3), np.array([-1.0, 0.0, -1.0]), np.zeros(3), ("x",), units=("Hz",))))
    3 samples, 3 effective; status ok
    <BLANKLINE>
            mean   std  median  68% low  68% high  best  ESS  MCSE
    x [Hz]  1.00  1.00    1.00     0.32      1.68  1.00    3  0.47
    """
    kish = diagnostics.ess(posterior.log_weights)
    rows = tuple(_row(posterior, name, kish) for name in posterior.names + posterior.derived_names)
    slowest = max(row.autocorrelation_time for row in rows[: posterior.n_dim]) if posterior.is_mcmc else None
    return Summary(
        n_samples=len(posterior),
        effective=kish / max(1.0, slowest) if slowest is not None else kish,
        status=posterior.status,
        log_evidence=posterior.log_evidence,
        log_evidence_error=posterior.log_evidence_error,
        information=posterior.information,
        autocorrelation_time=slowest,
        rows=rows,
        edges=edge_report(posterior, domain),
        notes=notes_of(posterior),
    )
