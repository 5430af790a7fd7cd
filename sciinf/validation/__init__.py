"""Validation suites: what `sciinf validate NAME` runs."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sciinf.validation.suite import SuiteResult, Tier

__all__ = ["Suite", "suites"]


@dataclass(frozen=True)
class Suite:
    """A suite by name; its module loads when it runs.

    Parameters
    ----------
    name : str
        As the command line knows it.
    module : str
        Import path of a module with ``run(tier, *, workers, progress, directory) -> SuiteResult``.
    """

    name: str
    module: str

    def run(self, tier: Tier, *, workers: int = 1, progress: bool = True, directory: Path | None = None) -> SuiteResult:
        """Run one tier: "quick" (at most a minute), "full" (at most 20 minutes on two cores) or "long".

        Parameters
        ----------
        tier : {"quick", "full", "long"}
            How much.
        workers : int
            Processes for independent units.
        progress : bool
            Show a progress line on a terminal.
        directory : Path, optional
            Where campaigns leave their units, so that a suite that was cut off goes on, and where figures go.

        Raises
        ------
        ConfigError
            If there is no such tier.
        """
        result: SuiteResult = importlib.import_module(self.module).run(tier, workers=workers, progress=progress, directory=directory)
        return result


def suites() -> dict[str, Suite]:
    """All suites by name.

    Examples
    --------
    >>> suites()["spine"].module
    'sciinf.validation.spine'
    """
    return {name: Suite(name, f"sciinf.validation.{name}") for name in ("spine", "cmb", "echo", "r3d", "pn")}
