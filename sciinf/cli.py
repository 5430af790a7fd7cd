"""The command line: `sciinf run`, `resume`, `show`, `report`, `reproduce`, `compare`, `validate`, `template`, `doctor`."""

from __future__ import annotations

import contextlib
import json
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from types import FrameType

    from sciinf.results.posterior import Posterior
    from sciinf.run.runner import RunOptions
    from sciinf.validation.suite import Tier

__all__ = ["app", "main"]

OK, FAILED, BAD_CONFIG, NOT_CONVERGED, VALIDATION_FAILED, INTERRUPTED = 0, 1, 2, 3, 4, 130

app = typer.Typer(
    help="Hard likelihoods, trusted samplers, reproducible posteriors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: a third of a second sooner
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunDir = Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Run directory (default: the config's output, or runs/NAME).")]
Workers = Annotated[int | None, typer.Option("--workers", "-w", min=1, help="Worker processes; the result does not depend on it.")]
Data = Annotated[list[str] | None, typer.Option("--data", metavar="KEY=PATH", help="Give an input by its key; may be repeated.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress line and no table.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]
Force = Annotated[bool, typer.Option("--force", help="Go on although something has changed; the manifest records it.")]


@app.command()
def run(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML file; `sciinf template ENGINE` prints one.")],
    out: Out = None,
    workers: Workers = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Master seed, in the place of the config's.")] = None,
    data: Data = None,
    resume_run: Annotated[bool, typer.Option("--resume", help="Go on with the run in the directory, where there is one.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew; the old files move into a folder inside.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Leave the HTML report out; `sciinf report` writes it later.")] = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Run a config: posterior, manifest and report in a run directory."""
    with _exits(as_json):
        from dataclasses import replace

        from sciinf.run import runner
        from sciinf.run.config import load_config

        loaded = load_config(config, seed=seed)
        options = replace(_options(workers, data, force, quiet), output=out, resume=resume_run, overwrite=overwrite, report=not no_report)
        path = runner.output_of(loaded, options)
        with _resumable(path):
            posterior = runner.run(loaded, options)
        _finish("run", path, posterior, as_json=as_json, quiet=quiet)


@app.command()
def resume(
    directory: RunDir, workers: Workers = None, data: Data = None, force: Force = False, quiet: Quiet = False, as_json: Json = False
) -> None:
    """Go on with an interrupted run."""
    with _exits(as_json):
        from sciinf.run import runner

        with _resumable(directory):
            posterior = runner.resume(directory, _options(workers, data, force, quiet))
        _finish("resume", directory, posterior, as_json=as_json, quiet=quiet)


@app.command()
def show(directory: RunDir, as_json: Json = False) -> None:
    """Show a run's summary, and check the posterior against the manifest."""
    with _exits(as_json):
        from sciinf.run import console
        from sciinf.run.show import look

        view = look(directory)
        if as_json:
            _print_json({"command": "show", **view.to_dict(), "exit_code": OK if view.intact else FAILED})
        else:
            console.show(view)
        if not view.intact:
            _fail(f"{directory}: {view.problem}", FAILED, as_json=False)


@app.command()
def report(
    directory: RunDir,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Where to write (default: DIR/report.html).")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Write the report of a run: one self-contained HTML file."""
    with _exits(as_json):
        from sciinf.run.show import report_again

        target, missing = report_again(directory, _data(data), out)
        if as_json:
            _print_json({"command": "report", "report": str(target), "missing": missing, "exit_code": OK})
        else:
            if missing:
                _say(f"warning: the engine's own pictures are left out: {missing}")
            typer.echo(str(target))


@app.command()
def reproduce(
    directory: RunDir,
    here: Annotated[bool, typer.Option("--here", help="Keep the second run beside the first, as DIR-reproduced.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Keep the second run there (default: not kept).")] = None,
    workers: Workers = None,
    data: Data = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Run a run again and say: identical, or what differs and by how much."""
    with _exits(as_json):
        import tempfile

        from sciinf.run import console
        from sciinf.run.reproduce import reproduce as again

        if here and out is not None:
            _fail("give --here or --out, not both", BAD_CONFIG, as_json=as_json)
        kept = out if out is not None else directory.resolve().with_name(directory.resolve().name + "-reproduced") if here else None
        with tempfile.TemporaryDirectory() as scratch:
            result = again(directory, kept or Path(scratch) / "again", _options(workers, data, force, quiet))
        code = OK if result.agrees else VALIDATION_FAILED
        if as_json:
            _print_json({"command": "reproduce", "directory": str(directory), **result.to_dict(), "exit_code": code})
        elif not quiet:
            console.reproduction(result, kept)
        if code:
            raise typer.Exit(code)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN ...", help="Run directories; each is compared with the first.")],
    figure: Annotated[Path, typer.Option("--figure", metavar="FILE", help="Where the overlaid corner plot goes.")] = Path("comparison.png"),
    as_json: Json = False,
) -> None:
    """Compare runs: Bayes factors, shifts of parameters, one corner plot."""
    with _exits(as_json):
        from sciinf.run import console
        from sciinf.run.compare import compare as beside

        result = beside(runs)
        result.save_figure(figure)
        if as_json:
            _print_json({"command": "compare", **result.to_dict(), "figure": str(figure), "exit_code": OK})
        else:
            console.comparison(result, figure)


@app.command()
def validate(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="Name of a suite: spine, cmb, echo, r3d, pn.")],
    quick: Annotated[bool, typer.Option("--quick", help="At most a minute (the default).")] = False,
    full: Annotated[bool, typer.Option("--full", help="At most twenty minutes on two cores.")] = False,
    long: Annotated[bool, typer.Option("--long", help="Everything; resumable by unit.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Where units and figures stay.")] = None,
    workers: Workers = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Run a validation suite; exit code 4 where a check fails."""
    with _exits(as_json):
        from sciinf.core.errors import ConfigError, nearest_names
        from sciinf.validation import suites

        if quick + full + long > 1:
            _fail("give one of --quick, --full, --long", BAD_CONFIG, as_json=as_json)
        tier: Tier = "long" if long else "full" if full else "quick"
        if suite not in (known := suites()):
            raise ConfigError(f"no validation suite '{suite}': {nearest_names(suite, known)}")
        result = known[suite].run(tier, workers=workers or 1, progress=not (quiet or as_json), directory=out)
        code = OK if result.passed else VALIDATION_FAILED
        if as_json:
            _print_json({"command": "validate", **result.to_dict(), "exit_code": code})
        elif not quiet:
            typer.echo(result.text)
        if code:
            raise typer.Exit(code)


@app.command()
def template(
    engine: Annotated[str, typer.Argument(metavar="ENGINE", help="An engine kind: cmb, echo, function, pn, r3d.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write to a new file instead of standard output.")] = None,
) -> None:
    """Print a complete, commented config for an engine."""
    with _exits(False):
        from sciinf.run.engines import template as text_of

        text = text_of(engine)
        if out is None:
            typer.echo(text, nl=False)
        elif out.exists():
            _fail(f"{out} exists; nothing was written", BAD_CONFIG, as_json=False)
        else:
            out.write_text(text, encoding="utf-8")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is installed: versions, threads, data, compiled kernels."""
    with _exits(as_json):
        from sciinf.run import console
        from sciinf.run.doctor import examine

        findings = examine()
        code = FAILED if any(finding.state == "wrong" for finding in findings) else OK
        if as_json:
            _print_json({"command": "doctor", "findings": [finding.to_dict() for finding in findings], "exit_code": code})
        else:
            console.findings(findings)
        if code:
            raise typer.Exit(code)


def _version(value: bool) -> None:
    if value:
        import sciinf

        typer.echo(f"sciinf {sciinf.__version__}")
        raise typer.Exit


@app.callback()
def _top(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False) -> None:
    pass


def _options(workers: int | None, data: list[str] | None, force: bool, quiet: bool) -> RunOptions:
    from sciinf.run.runner import RunOptions

    return RunOptions(force=force, data=_data(data), progress=not quiet, workers=workers)


def _data(given: list[str] | None) -> dict[str, Path | str]:
    """``KEY=PATH`` options as a dictionary."""
    from sciinf.core.errors import ConfigError

    result: dict[str, Path | str] = {}
    for item in given or []:
        key, separator, path = item.partition("=")
        if not separator or not key or not path:
            raise ConfigError(f"--data must be KEY=PATH, got {item!r}")
        result[key] = path
    return result


def _finish(command: str, path: Path, posterior: Posterior, *, as_json: bool, quiet: bool) -> None:
    """Print a finished run, and leave with its exit code."""
    from sciinf.run import console
    from sciinf.run.show import look

    code = OK if posterior.status == "ok" else NOT_CONVERGED
    view = look(path)
    if as_json:
        _print_json({"command": command, **view.to_dict(), "exit_code": code})
    elif not quiet:
        console.show(view)
    if code:
        missed = posterior.status == "missed_mode"
        _say(_missed(path) if missed else _what_next(path, str(view.manifest.get("report", {}).get("stopped", ""))))
        raise typer.Exit(code)


def _missed(path: Path) -> str:
    """What to do about a run that missed a mode."""
    return f"missed mode: results kept in {path}. Start a new run with more live points (n_live), or with repeats, and --overwrite"


def _what_next(path: Path, stopped: str) -> str:
    """What became of a run that did not converge, and what to do."""
    head = f"not converged{f' ({stopped})' if stopped else ''}: results kept in {path}. "
    if stopped in ("max_calls", "max_seconds", "max_steps"):
        return f"{head}Raise {stopped} in the config and go on with: sciinf run CONFIG --out {path} --resume"
    return head + ("Start a new run with more n_steps, or without n_steps" if stopped == "n_steps" else "See its report")


@contextlib.contextmanager
def _resumable(path: Path) -> Iterator[None]:
    """After an interrupt, say how to go on."""
    from sciinf.samplers.checkpoint import Interrupted

    try:
        yield
    except Interrupted as error:
        error.add_note(f"resume with: sciinf resume {path}")
        raise


@contextlib.contextmanager
def _exits(as_json: bool) -> Iterator[None]:
    """Turn errors into one message on standard error and an exit code; SIGTERM acts like Ctrl-C."""
    from sciinf.core.errors import ConfigError, DataError, MissingDependencyError, PriorError, ResumeError, SciinfError

    try:
        with _signals(), _warnings():
            yield
    except (ConfigError, PriorError, DataError, ResumeError, MissingDependencyError) as error:
        _fail(str(error), BAD_CONFIG, as_json=as_json, kind=type(error).__name__)
    except SciinfError as error:
        from sciinf.samplers.checkpoint import Interrupted

        text = "\n".join([str(error), *getattr(error, "__notes__", [])])
        _fail(text, INTERRUPTED if isinstance(error, Interrupted) else FAILED, as_json=as_json, kind=type(error).__name__)
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED, as_json=as_json, kind="Interrupted")


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as SIGINT does."""
    try:
        before = signal.signal(signal.SIGTERM, _terminate)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _warnings() -> Iterator[None]:
    """Warnings as one line on standard error."""
    before, warnings.showwarning = warnings.showwarning, _show_warning
    try:
        yield
    finally:
        warnings.showwarning = before


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: str | None = None
) -> None:
    from sciinf.core.errors import SciinfWarning

    name = "" if issubclass(category, SciinfWarning) else f" ({category.__name__})"
    _say(f"warning: {message}{name}")


def _fail(message: str, code: int, *, as_json: bool, kind: str = "ConfigError") -> NoReturn:
    """One message on standard error (and as JSON where that was asked for), and out."""
    if as_json:
        _print_json({"error": kind, "message": message, "exit_code": code})
    _say(message if code == INTERRUPTED else f"error: {message}")
    raise typer.Exit(code)


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _print_json(content: dict[str, Any]) -> None:
    typer.echo(json.dumps(content, allow_nan=False))


def main() -> None:
    """Entry point of the ``sciinf`` command."""
    app()


if __name__ == "__main__":
    main()
