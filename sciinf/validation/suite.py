"""What every validation suite returns, and the recorder that it fills."""

from __future__ import annotations

import contextlib
import logging
import platform
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import sciinf
from sciinf.calibration.verdict import Verdict, all_passed, text_table, verdict_table
from sciinf.core.errors import ConfigError, SciinfWarning, nearest_names
from sciinf.samplers.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Recorder", "Skipped", "SuiteResult", "Table", "Tier", "check_tier", "quiet_samplers"]

logger = logging.getLogger(__name__)

Tier = Literal["quick", "full", "long"]
_NOISY = "sciinf.samplers"


def quiet_samplers() -> int:
    """Let samplers log errors only, for hundreds of runs on purpose-built hard problems; the level that was set before.

    For a process of the suite's own; `Recorder` takes it back at its end.
    """
    warnings.filterwarnings("ignore", "prior: .* never changed the likelihood", SciinfWarning)  # the constant likelihood is one of them
    noisy = logging.getLogger(_NOISY)
    before = noisy.level
    noisy.setLevel(logging.ERROR)
    return before


def check_tier(tier: str) -> Tier:
    """Return ``tier`` if there is such a one.

    Raises
    ------
    ConfigError
        If not.
    """
    for known in get_args(Tier):
        if tier == known:
            return known  # type: ignore[no-any-return]
    raise ConfigError(f"no tier '{tier}': {nearest_names(tier, get_args(Tier))}")


def _versions() -> dict[str, str]:
    """What the figures were made with."""
    packages = ("numpy", "scipy", "numba", "dynesty", "emcee", "h5py")
    return {"sciinf": sciinf.__version__, "python": platform.python_version(), **{name: metadata.version(name) for name in packages}}


@dataclass(frozen=True)
class Skipped:
    """A part that did not run, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Table:
    """Figures for people: a title, column heads and rows of text."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        return f"{self.title}\n{text_table(self.header, self.rows)}"


@dataclass(frozen=True)
class SuiteResult:
    """Outcome of one tier of one suite.

    Attributes
    ----------
    suite, tier : str
        What ran.
    verdicts : tuple of Verdict
        Every check.
    skipped : tuple of Skipped
        Parts that did not run, with the reason (data or a package missing, another tier).
    tables : tuple of Table
        Figures behind the verdicts.
    seconds : float
        Wall time.
    seed : int, optional
        Master seed, from which every part draws its own streams; None where nothing is drawn.
    """

    suite: str
    tier: str
    verdicts: tuple[Verdict, ...]
    skipped: tuple[Skipped, ...] = ()
    tables: tuple[Table, ...] = ()
    seconds: float = 0.0
    seed: int | None = None

    @property
    def passed(self) -> bool:
        """Whether there was at least one check and all passed."""
        return all_passed(self.verdicts)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "suite": self.suite,
            "tier": self.tier,
            "passed": self.passed,
            "seconds": round(self.seconds, 1),
            "versions": _versions(),
            "seed": self.seed,
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "skipped": [{"name": item.name, "reason": item.reason} for item in self.skipped],
            "tables": [{"title": t.title, "header": list(t.header), "rows": [list(row) for row in t.rows]} for t in self.tables],
        }

    @property
    def text(self) -> str:
        """Tables, verdicts, what was skipped, and one line at the end."""
        failed = sum(not verdict.passed for verdict in self.verdicts)
        parts = [str(table) for table in self.tables]
        parts.append(verdict_table(self.verdicts))
        if self.skipped:
            parts.append("\n".join(f"skipped: {item.name}: {item.reason}" for item in self.skipped))
        outcome = "passed" if self.passed else f"{failed} FAILED" if self.verdicts else "nothing was checked"
        parts.append(f"{self.suite} --{self.tier}: {len(self.verdicts)} checks, {outcome}, {self.seconds:.0f} s")
        return "\n\n".join(parts)

    def __str__(self) -> str:
        return self.text


@dataclass
class Recorder:
    """Collects a suite's outcome while it runs, and shows how far it is.

    Parameters
    ----------
    suite : str
        Name of the suite.
    tier : str
        What runs.
    progress : bool
        Show a progress line on a terminal.
    directory : Path, optional
        Where figures and campaigns go; made when first needed.
    seed : int, optional
        The suite's master seed, for the record.

    Examples
    --------
    >>> with Recorder("example", "quick", progress=False) as record:
    ...     with record.part("arithmetic"):
    ...         record.add(Verdict("sum", 2.0, None, 1, 1 + 1 == 2))
    >>> record.result().passed
    True
    """

    suite: str
    tier: str
    progress: bool = True
    directory: Path | None = None
    seed: int | None = None
    _verdicts: list[Verdict] = field(default_factory=list)
    _skipped: list[Skipped] = field(default_factory=list)
    _tables: list[Table] = field(default_factory=list)
    _bar: Progress | None = None
    _at_exit: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _started: float = field(default_factory=time.monotonic)

    def __enter__(self) -> Recorder:
        self.tier = check_tier(self.tier)
        self._started = time.monotonic()
        self._bar = self._at_exit.enter_context(Progress(f"{self.suite} --{self.tier}", enabled=self.progress))
        self._at_exit.enter_context(warnings.catch_warnings())
        self._at_exit.callback(logging.getLogger(_NOISY).setLevel, quiet_samplers())
        return self

    def __exit__(self, *error: Any) -> None:
        self._at_exit.close()
        self._bar = None

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Name what runs now, for the progress line and the log; its seconds are logged."""
        started = time.monotonic()
        if self._bar is not None:
            self._bar.show(name)
        yield
        logger.info("%s --%s: %s took %.1f s", self.suite, self.tier, name, time.monotonic() - started)

    def add(self, *verdicts: Verdict) -> None:
        """Record checks."""
        self._verdicts += verdicts

    def add_renamed(self, prefix: str, verdicts: Iterable[Verdict], *, expect_failure: bool = False) -> None:
        """Record another test's verdicts under ``prefix``; with ``expect_failure`` one control that passes when any of them failed."""
        verdicts = list(verdicts)
        if not expect_failure:
            self.add(*(Verdict(f"{prefix}: {v.name}", v.statistic, v.p, v.n, v.passed, v.detail, v.figure) for v in verdicts))
            return
        worst = min(verdicts, key=lambda v: 1.0 if v.p is None else v.p)
        caught = [v.name for v in verdicts if not v.passed]
        detail = f"must fail; caught by {', '.join(caught)}" if caught else "must fail, and was not caught"
        self.add(Verdict(f"{prefix} (control)", worst.statistic, worst.p, worst.n, bool(caught), detail))

    def skip(self, name: str, reason: str) -> None:
        """Record a part that did not run."""
        self._skipped.append(Skipped(name, reason))

    def table(self, title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Record figures."""
        self._tables.append(Table(title, tuple(header), tuple(tuple(row) for row in rows)))

    def folder(self, name: str) -> Path | None:
        """Folder ``name`` below the suite's directory, made; None where there is no directory."""
        if self.directory is None:
            return None
        path = Path(self.directory) / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def figure(self, name: str, figure: Figure) -> str:
        """Write a figure as ``figures/NAME.png`` where there is a directory; its path relative to the directory, else empty."""
        folder = self.folder("figures")
        if folder is None:
            return ""  # nowhere to put it
        figure.savefig(folder / f"{name}.png", dpi=150)
        return f"figures/{name}.png"

    def result(self) -> SuiteResult:
        """What was recorded so far."""
        seconds = time.monotonic() - self._started
        return SuiteResult(self.suite, self.tier, tuple(self._verdicts), tuple(self._skipped), tuple(self._tables), seconds, self.seed)
