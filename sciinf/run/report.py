"""The report of a run: one HTML file, complete in itself, for the screen and for paper."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import sciinf
from sciinf.core.engine import background_of, breakdown_of, breakdown_unit_of, figures_of
from sciinf.core.errors import SciinfError
from sciinf.run import report_tables as tables
from sciinf.run.report_diagnostics import diagnostic_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sciinf.core.problem import Problem
    from sciinf.results.posterior import Posterior
    from sciinf.results.summary import Summary

__all__ = ["ReportInput", "render"]

_log = logging.getLogger(__name__)

_DPI = {"trace": 100}
_USUAL_DPI = 150
_REM_PER_INCH = 6.4
_WIDEST = 54.0
_CAPTIONS = {
    "corner": ("Posterior.", "Marginal densities on the diagonal; 68 and 95 % regions of each pair below it."),
    "run_nested": ("The run.", "Live points, likelihood, posterior mass and the evidence so far, against the prior volume left."),
    "run_chain": ("The run.", "Height of the posterior over the walkers, and the autocorrelation time as the chain grew, against N / 50."),
    "trace": ("Trace.", "The values of each parameter in the order in which they were drawn."),
}
_STATUS = {
    "complete": ("converged", "good"),
    "not_converged": ("not converged", "bad"),
    "interrupted": ("interrupted", "bad"),
    "failed": ("failed", "bad"),
    "running": ("running", "bad"),
}


@dataclass(frozen=True)
class ReportInput:
    """What a report is made of; ``problem`` is None where the engine cannot be built here, and ``missing`` then says why."""

    posterior: Posterior
    manifest: Mapping[str, Any]
    directory_name: str
    config_text: str = ""
    given: tuple[str, ...] | None = None
    problem: Problem | None = None
    missing: str = ""
    background: Mapping[str, Any] | None = None


def render(source: ReportInput) -> str:
    """The report as HTML.

    Notes
    -----
    Pictures are PNG inside the file, formulas are SVG: nothing is loaded from elsewhere. A picture that cannot be drawn is left out
    and said so in the log and in the report.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sciinf.run"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2").render(_context(source))


def _context(source: ReportInput) -> dict[str, Any]:
    """Everything that the template lays out."""
    posterior, manifest = source.posterior, source.manifest
    summary = posterior.summary(domain={name: (low, high) for name, (low, high) in manifest.get("domain", {}).items()})
    references: dict[str, tables.Reference] = {name: tuple(item) for name, item in manifest.get("references", {}).items()}
    problems: list[str] = []
    figures = _figure_sections(source, problems)
    parts = _components(source)
    background = _background(source, problems)
    text, tone = _STATUS.get(str(manifest.get("status")), (str(manifest.get("status")), "bad"))
    if posterior.status == "missed_mode":
        text, tone = "missed mode", "bad"
    sections = [("result", "Result"), *([("fit", "Fit")] if parts else []), *([("background", "Background")] if background else [])]
    sections += [*((s["anchor"], s["title"]) for s in figures)]
    sections += [("diagnostics", "Diagnostics"), ("settings", "Data and settings"), ("reproduce", "How to reproduce")]
    return {
        "version": sciinf.__version__,
        "name": manifest.get("name", source.directory_name),
        "lead": _lead(posterior, summary, manifest),
        "status": {"text": text, "tone": tone},
        "notices": _notices(source, summary, problems),
        "sections": sections,
        "published": any(name in references for name in posterior.names + posterior.derived_names),
        "interval_title": "68 % interval",
        "groups": tables.result_groups(posterior, summary, references, components=bool(parts)),
        "result_notes": _result_notes(references, summary),
        "evidence": _evidence(posterior, manifest),
        "components": tables.component_rows(parts, summary) if parts else [],
        "fit_note": "At the sample of largest posterior density among those kept; not an optimum.",
        "fit_unit": "χ²" if source.problem is None else breakdown_unit_of(source.problem.engine),
        "background": background,
        "figure_sections": figures,
        "diagnostics": diagnostic_rows(posterior, summary, manifest),
        "priors": tables.prior_rows(posterior, manifest.get("priors", {}), source.given),
        "settings": _settings(manifest),
        "inputs": sorted(_inputs(manifest).items()),
        "source": _data_source(manifest),
        "citations": [str(item) for item in manifest.get("citations", [])],
        **_reproduction(source),
        "config_text": source.config_text,
    }


def _lead(posterior: Posterior, summary: Summary, manifest: Mapping[str, Any]) -> str:
    """One sentence that says what this is."""
    kind = manifest.get("sampler", {}).get("kind", "a sampler")
    seconds = _seconds(manifest)
    time = "" if seconds is None or manifest.get("resumed") else f" in {_duration(seconds)}"
    plural = "s" if posterior.n_dim > 1 else ""
    return (
        f"Posterior of {posterior.n_dim} parameter{plural}: {len(posterior):,} samples, worth {summary.effective:,.0f} independent ones, "
        f"drawn by {kind}{time}."
    )


def _seconds(manifest: Mapping[str, Any]) -> float | None:
    """Wall time between the manifest's start and end."""
    try:
        started, ended = (datetime.fromisoformat(str(manifest[key])) for key in ("started", "ended"))
    except (KeyError, ValueError):
        return None
    return (ended - started).total_seconds()


def _duration(seconds: float) -> str:
    """Seconds as people say them.

    Examples
    --------
    >>> _duration(4.13), _duration(75.0), _duration(7330.0)
    ('4 s', '1 min 15 s', '2 h 2 min')
    """
    if seconds < 60.0:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _notices(source: ReportInput, summary: Summary, problems: list[str]) -> list[str]:
    """What a reader must know before the figures."""
    notices = []
    if source.manifest.get("status") == "not_converged":
        stopped = source.manifest.get("report", {}).get("stopped", "")
        notices.append(f"The run stopped before it converged{f' ({stopped})' if stopped else ''}: these figures are provisional.")
    if source.posterior.status == "missed_mode":
        notices.append("The engine's own check says that a mode of the posterior was missed.")
    notices += [f"{note.text}." for note in summary.notes if not note.good]
    notices += [f"{edge}. The posterior leans on the edge of where the engine is valid." for edge in summary.edges]
    notices += [str(note) for note in source.manifest.get("data", {}).get("notes", []) if "unverified" in str(note)]
    if any(item.get("forced") and item.get("differs") for item in source.manifest.get("resumed", [])):
        notices.append("The run was resumed by force although something had changed since it began.")
    if source.missing:
        notices.append(f"The engine could not be built here, so its own figures are left out: {source.missing}")
    return notices + problems


def _result_notes(references: Mapping[str, tables.Reference], summary: Summary) -> list[str]:
    """Where published values come from, and what the engine says of the result."""
    sources = sorted({reference[2] for reference in references.values()})
    published = [f"Published: {'; '.join(sources)}. Differences are in units of the published standard deviation."] if sources else []
    return published + [f"{note.text}." for note in summary.notes if note.good]


def _evidence(posterior: Posterior, manifest: Mapping[str, Any]) -> str:
    """The evidence in words."""
    if posterior.log_evidence is None:
        return ""
    error = "" if posterior.log_evidence_error is None else f" ± {posterior.log_evidence_error:.3f}"
    information = "" if posterior.information is None else f" The posterior gained {posterior.information:.2f} nats over the prior."
    key = str(manifest.get("engine", {}).get("comparison_key", ""))[:12]
    return (
        f"ln Z = {posterior.log_evidence:.3f}{error}, for a normalised prior.".replace("-", "−")
        + information
        + (f" It may be compared with evidences of the same data only (comparison key {key}…)." if key else "")
    )


def _components(source: ReportInput) -> dict[str, float]:
    """chi2 per component at the best sample: the engine's breakdown, else derived columns of that name."""
    posterior = source.posterior
    if source.problem is not None and (breakdown := breakdown_of(source.problem.engine)) is not None:
        try:
            parts = breakdown(source.problem.engine_theta(posterior.samples[posterior.best]))
            return {name: float(value) for name, value in parts.items() if name not in ("total", "chi2__total")}
        except SciinfError as error:
            _log.warning("the report has no breakdown of the likelihood: %s", error)
    names = [name for name in posterior.derived_names if name.startswith("chi2__") and name != "chi2__total"]
    return {name: float(posterior.column(name)[posterior.best]) for name in names}


def _background(source: ReportInput, problems: list[str]) -> dict[str, Any] | None:
    """Sentence and picture of what the run was compared with."""
    record = source.background
    if record is None:
        return None
    sentence = f"{len(record['log_evidence'])} runs of the same search where no signal can be: {record['sentence']}"
    section: dict[str, Any] = {"sentence": sentence, "figures": []}
    background = None if source.problem is None else background_of(source.problem)
    if background is not None:
        try:
            figure = background.figure(record)
            section["figures"].append(_figure(figure, "Background.", _caption_of(figure), _USUAL_DPI))
        except Exception as error:
            _log.warning("the report has no picture of the background", exc_info=True)
            problems.append(f"The picture of the background could not be drawn: {error}")
    return section


def _figure_sections(source: ReportInput, problems: list[str]) -> list[dict[str, Any]]:
    """Corner plot, run and trace, and the engine's own pictures."""
    from sciinf.results import plots

    posterior = source.posterior
    sections: list[dict[str, Any]] = []

    def draw(name: str, make: Callable[[], Figure], title: str, caption: str) -> list[dict[str, Any]]:
        try:
            return [_figure(make(), title, caption, _DPI.get(name, _USUAL_DPI))]
        except Exception as error:
            _log.warning("the report has no picture '%s': %s", name, error, exc_info=True)
            problems.append(f"The picture '{name}' could not be drawn: {error}")
            return []

    corner = draw("corner", lambda: plots.corner(posterior), *_CAPTIONS["corner"])
    sections.append({"anchor": "posterior", "title": "Posterior", "figures": corner})
    figures_method = None if source.problem is None else figures_of(source.problem.engine)
    if figures_method is not None:
        own: list[dict[str, Any]] = []
        try:
            for name, figure in figures_method(posterior).items():
                own += draw(name, partial(_itself, figure), _title(name), _caption_of(figure))
        except Exception as error:
            _log.warning("the engine's pictures could not be drawn", exc_info=True)
            problems.append(f"The engine's pictures could not be drawn: {error}")
        sections.append({"anchor": "engine", "title": "Data and model", "figures": own})
    run = draw("run plot", lambda: plots.run_plot(posterior), *_CAPTIONS["run_chain" if posterior.is_mcmc else "run_nested"])
    run += draw("trace", lambda: plots.trace(posterior), *_CAPTIONS["trace"])
    sections.append({"anchor": "run", "title": "Run", "figures": run})
    return [section for section in sections if section["figures"]]


def _itself(figure: Figure) -> Figure:
    """A figure that is drawn already."""
    return figure


def _title(name: str) -> str:
    """A figure's name as a title."""
    return name.replace("_", " ").capitalize() + "."


def _caption_of(figure: Any) -> str:
    """What the engine says about its figure: matplotlib's label of the figure."""
    return str(figure.get_label() or "") if hasattr(figure, "get_label") else ""


def _figure(figure: Figure, title: str, caption: str, dpi: int) -> dict[str, Any]:
    """A matplotlib figure as PNG inside an HTML attribute."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    source = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    width = min(_WIDEST, float(figure.get_figwidth()) * _REM_PER_INCH)
    tall = bool(figure.get_figheight() > 0.85 * figure.get_figwidth())
    return {"source": source, "title": title, "caption": caption, "alt": title, "width": f"{width:.1f}", "tall": tall}


def _settings(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Sampler, engine table, seed and resources in words."""
    sampler = dict(manifest.get("sampler", {}))
    rows = [("Sampler", f"{sampler.pop('kind', '?')}: {_pairs(sampler)}"), ("Master seed", str(manifest.get("seed")))]
    if manifest.get("repeats", 1) != 1:
        rows.append(("Repeats", str(manifest["repeats"])))
    engine_table = manifest.get("config", {}).get("engine")
    if engine_table:
        rows.append(("Engine", _pairs(engine_table)))
    rows.append(("Engine class", str(manifest.get("engine", {}).get("class", ""))))
    rows.append(("Resources", _pairs(manifest.get("resources", {}))))
    machine = manifest.get("machine", {})
    rows.append(("Machine", ", ".join(str(machine[key]) for key in ("cpu", "architecture", "system") if machine.get(key))))
    return [(key, value) for key, value in rows if value]


def _pairs(table: Mapping[str, Any]) -> str:
    """A table on one line."""
    shown = {key: value if isinstance(value, str) else json.dumps(value) for key, value in table.items() if value is not None}
    return ", ".join(f"{key} = {value}" for key, value in shown.items())


def _inputs(manifest: Mapping[str, Any]) -> dict[str, str]:
    """sha256 of every input file: the engine's data and what the config names."""
    return {**manifest.get("data", {}).get("files", {}), **manifest.get("inputs", {})}


def _data_source(manifest: Mapping[str, Any]) -> str:
    """Where the data come from, and notes on them."""
    data = manifest.get("data", {})
    notes = [str(note) for note in data.get("notes", [])]
    source = data.get("source")
    return " ".join([*([f"Source: {source}."] if source else []), *notes])


def _reproduction(source: ReportInput) -> dict[str, Any]:
    """Commands, hashes and versions."""
    manifest, name = source.manifest, source.directory_name
    package = manifest.get("sciinf", {})
    if manifest.get("origin") == "toml":
        note = (
            "The run directory holds the config, the manifest and the posterior. On the machine and versions below the same seed gives the "
            "same bytes; elsewhere evidence and moments agree within their Monte Carlo errors."
        )
        commands = f"sciinf show {name}\nsciinf reproduce {name}"
    else:
        note = "This run was started from Python, so the program that built its problem is part of it; run that again with the same seed."
        commands = f"sciinf show {name}\n\nposterior = sciinf.load({name!r})"
    hashes = [
        ("Content of the posterior", manifest.get("content_hash")),
        ("What decides the result", manifest.get("science_hash")),
        ("Engine and its data", manifest.get("engine", {}).get("fingerprint")),
    ]
    versions = [f"sciinf {package.get('version')}" + (f" ({package['commit']})" if package.get("commit") else "")]
    versions += [f"{key} {value}" for key, value in manifest.get("versions", {}).items()]
    return {
        "reproduce_note": note,
        "commands": commands,
        "hashes": [(key, value) for key, value in hashes if value],
        "versions": ", ".join(versions) + ".",
    }
