"""Tables for people at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sciinf.run.labels import format_interval, format_number, format_plus_minus
from sciinf.run.report_tables import Reference, shift_in_sigma

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sciinf.results.summary import Row, Summary
    from sciinf.run.compare import Comparison
    from sciinf.run.doctor import Finding
    from sciinf.run.reproduce import Reproduction
    from sciinf.run.show import View

__all__ = ["comparison", "findings", "reproduction", "show"]

_WIDE = 160
_STATES = {"ok": "green", "absent": "dim", "wrong": "red"}


def _console() -> Console:
    """Standard output; wide where it is no terminal, so that nothing is cut in files and pipes."""
    from rich.console import Console

    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=_WIDE)


def _table(*columns: str, left: int = 1) -> Table:
    """A plain table: the first ``left`` columns to the left, the others to the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i < left else "right", no_wrap=True)
    return table


def show(view: View) -> None:
    """A run: its state, its table beside published values, and where the report is."""
    console, manifest = _console(), view.manifest
    state, kind = str(manifest.get("status")).replace("_", " "), manifest.get("sampler", {}).get("kind")
    console.print(f"[bold]{manifest.get('name')}[/bold]: {state}, {kind}, seed {manifest.get('seed')}")
    if view.summary is None:
        command = f"sciinf resume {view.path}"
        hint = f"Go on with: {command}" if manifest.get("origin") == "toml" else "Go on from the program that started it (resume=True)"
        console.print(f"No posterior yet. {hint}")
        return
    _print_summary(console, view)
    _print_background(console, view)
    counts = manifest.get("counts") or {}
    if counts:
        calls, zero, rejected = (int(counts.get(key, 0)) for key in ("calls", "minus_inf", "rejected"))
        console.print(f"{calls:,} likelihood calls, {zero:,} at -inf, {rejected:,} rejected")
    console.print(f"content hash {manifest.get('content_hash')}" + (" (as the manifest says)" if view.intact else ""), style="dim")
    if (view.path / "report.html").exists():
        console.print(f"report {view.path / 'report.html'}", style="dim", soft_wrap=True)


def _print_background(console: Console, view: View) -> None:
    """What the engine's own check says of the run, and what its background does."""
    if view.summary is not None and view.summary.status == "missed_mode":
        console.print("[red]missed mode[/red]: the engine's own check found a better point than the run did")
    if view.background is not None:
        console.print(f"background: {view.background['sentence']}", soft_wrap=True, markup=False)
    elif view.manifest.get("background", {}).get("status") == "running":
        console.print(f"the background is not finished; go on with: sciinf resume {view.path}", soft_wrap=True, markup=False)


def _print_summary(console: Console, view: View) -> None:
    """Mean, interval, best sample and published value of each quantity."""
    summary, references = view.summary, view.references
    assert summary is not None
    published = any(row.name in references for row in summary.rows)
    table = _table("", "mean ± std", "68 % interval", "best", "ESS", *(["published", "difference"] if published else []))
    for row in summary.rows:
        name = f"{row.name} [{row.unit}]".replace("[", r"\[") if row.unit else row.name
        cells = [
            format_plus_minus(row.mean, row.std),
            format_interval(row.low, row.high),
            format_number(row.best, row.std),
            f"{row.ess:,.0f}",
        ]
        if published:
            cells += _published(row, references[row.name]) if row.name in references else ["", ""]
        table.add_row(name, *cells, style="dim" if row.derived else "")
    console.print(table)
    console.print(f"{summary.n_samples:,} samples, {summary.effective:,.0f} effective" + _evidence(summary))
    for edge in summary.edges:
        console.print(f"[red]{edge}[/red]")
    for note in summary.notes:
        console.print(str(note), style="" if note.good else "red", soft_wrap=True, markup=False)
    if published:
        sources = sorted({references[row.name][2] for row in summary.rows if row.name in references})
        console.print(f"published: {'; '.join(sources)}", style="dim", soft_wrap=True)


def _published(row: Row, reference: Reference) -> list[str]:
    return [format_plus_minus(reference[0], reference[1]), f"{shift_in_sigma(row.mean, row.std, reference):+.2f} σ"]


def _evidence(summary: Summary) -> str:
    if summary.log_evidence is None:
        return ""
    error = "" if summary.log_evidence_error is None else f" ± {summary.log_evidence_error:.3f}"
    return f"; ln Z = {summary.log_evidence:.3f}{error}"


def reproduction(result: Reproduction, kept: Path | None) -> None:
    """Identical, or what differs."""
    console = _console()
    if result.identical:
        console.print(f"[green]identical[/green]: content hash {result.first_hash}", soft_wrap=True)
    else:
        verdict = "agrees within its Monte Carlo errors" if result.agrees else "[red]does not agree[/red]"
        console.print(f"not identical; {verdict}")
        console.print(f"content hash was {result.first_hash}, is {result.second_hash}", soft_wrap=True)
        table = _table("", "was", "is", "difference")
        for moment in sorted(result.moments, key=lambda moment: -abs(moment.sigma))[:12]:
            table.add_row(moment.name, f"{moment.first:.6g}", f"{moment.second:.6g}", f"{moment.sigma:+.2f} σ")
        console.print(table)
    for difference in result.differences:
        console.print(f"differs: {difference}", soft_wrap=True, markup=False)
    if kept is not None:
        console.print(f"the second run is in {kept}", style="dim", soft_wrap=True)


def comparison(result: Comparison, figure: Path) -> None:
    """Bayes factors and shifts."""
    console = _console()
    for factor in result.bayes_factors:
        names = f"{factor.first} over {factor.second}"
        if factor.refused:
            console.print(f"log Bayes factor, {names}: refused: {factor.refused}", soft_wrap=True, markup=False)
        else:
            console.print(f"log Bayes factor, {names}: {factor.log_ratio:+.3f} ± {factor.error:.3f}", soft_wrap=True, markup=False)
    table = _table("", "run", "mean ± std", "against", "mean ± std", "shift")
    for shift in result.shifts:
        first, second = format_plus_minus(shift.first_mean, shift.first_std), format_plus_minus(shift.second_mean, shift.second_std)
        table.add_row(shift.name, shift.first, first, shift.second, second, f"{shift.sigma:+.2f} σ")
    console.print(table)
    console.print(f"corner plot {figure}", style="dim", soft_wrap=True)


def findings(found: Sequence[Finding]) -> None:
    """The examination, topic by topic."""
    console = _console()
    topic = ""
    for item in found:
        if item.topic != topic:
            topic = item.topic
            console.print(f"\n[bold]{topic}[/bold]")
        mark = {"ok": "+", "absent": "-", "wrong": "!"}[item.state]
        console.print(f"[{_STATES[item.state]}]{mark}[/] {item.what:24s} ", end="")
        console.print(item.value, markup=False, soft_wrap=True)
