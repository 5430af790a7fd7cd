"""GW150914 in 32 s of both detectors: the event, the event with a comb, and its time slides."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciinf.calibration.injections import campaign_over
from sciinf.calibration.verdict import Verdict
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.engines.echo import (
    EchoSearch,
    PValue,
    Remnant,
    Spectrum,
    block_interval,
    condition,
    off_source_segments,
    p_value,
    read_gwosc,
    slide_pairs,
    time_slides,
    welch_psd,
)
from sciinf.engines.echo.simulate import comb, inject, optimal_snr, project
from sciinf.samplers.pools import Workers
from sciinf.samplers.settings import Dynesty
from sciinf.validation.echo_checks import Phase

__all__ = ["GW150914", "Slides"]

_MERGER = 1126259462.44
_FILES = {"H1": "H-H1_LOSC_4_V2-1126259446-32.hdf5", "L1": "L-L1_LOSC_4_V2-1126259446-32.hdf5"}
_DELAY = 6.9e-3


@dataclass(frozen=True, eq=False)
class GW150914:
    """32 s of both detectors, conditioned into segments; an engine for what is on source, and slides of what is not."""

    duration: float
    on: tuple[Spectrum, Spectrum]
    off: tuple[tuple[Spectrum, ...], tuple[Spectrum, ...]]

    @classmethod
    def read(cls, folder: Path, duration: float) -> GW150914:
        """From the folder's two strain files."""
        on, off = [], []
        for detector, name in _FILES.items():
            strain = read_gwosc(folder / "strain" / name)
            psd = welch_psd(strain, exclude=(_MERGER, _MERGER + duration))
            delay = 0.0 if detector == "H1" else _DELAY
            segments = off_source_segments(strain, _MERGER, duration)
            on.append(_at(condition(strain, psd, _MERGER, duration), delay))
            off.append(tuple(_at(condition(strain, psd, start, duration), delay) for start in segments.starts.tolist()))
        return cls(duration, (on[0], on[1]), (off[0], off[1]))

    def engine(self, phase: Phase) -> EchoSearch:
        """The search of the on-source segment."""
        return EchoSearch(self.on, phase=phase, amplitude="marginalised", remnant=Remnant(0.67, 67.65))

    def loud(self, engine: EchoSearch, snr: float, seed: int) -> EchoSearch:
        """The same with a comb of that network SNR added."""
        rng = generator(seed, "loud")
        signal = comb(self.on[0], spacing=7.0, offset_hz=1.26, width=1.0, amplitude=1e-23, band=(70.0, 250.0), phase=engine.phase, rng=rng)
        seen = [project(signal, spectrum, 0.9 * k) for k, spectrum in enumerate(self.on)]
        factor = snr / math.sqrt(sum(optimal_snr(item, f_min=60.0) ** 2 for item in seen))
        return engine.with_data(tuple(inject(one, item.with_values(factor * item.values)) for one, item in zip(self.on, seen, strict=True)))

    def slides(self, phase: Phase, n: int | None, n_live: int, seed: int, workers: Workers, folder: Path | None) -> Slides:
        """Slides, the event and the event with a comb."""
        engine = self.engine(phase)
        priors = engine.default_priors()
        chosen = slide_pairs(len(self.off[0]), n, None if n is None else seed)
        problems = list(time_slides(engine, priors, *self.off, pairs=chosen))
        settings = Dynesty(n_live=n_live)
        where = None if folder is None else folder / f"slides-{self.duration:g}-{phase}"
        background = campaign_over(problems, settings, seed, workers=workers, directory=where).log_evidence
        ours = [Problem(engine, priors, name="on source"), Problem(self.loud(engine, 12.0, seed), priors, name="on source, comb added")]
        event = campaign_over(ours, settings, seed, workers=workers)
        few = problems[: min(10, max(len(problems) // 2, 1))]
        again = campaign_over(ours, settings, seed, workers=1).content_hash() == event.content_hash()
        one, two = (campaign_over(few, settings, seed, workers=w).content_hash() for w in (workers, 1))
        on, loud = (float(value) for value in event.log_evidence)
        block = block_interval(on, background, chosen) if len(self.off[0]) > 2 and n is None else None
        interval = None if block is None else (float(block[0]), float(block[1]))
        return Slides(
            self.duration, phase, len(self.off[0]), on, loud, background, interval, engine.psd_levels, again and one == two, 2 + len(few)
        )


@dataclass(frozen=True, eq=False)
class Slides:
    """The event, the event with a comb of network SNR 12 added, and the slides.

    Parameters
    ----------
    segments : int
        Off-source segments of a detector.
    on, loud : float
        ln B of the event, and of the event with the comb.
    background : (n,) float64 array
        ln B of the slides.
    block : (low, high) or None
        Interval of p by the bootstrap over segments, where all pairs were run.
    levels : tuple of float
        PSD level q of each detector.
    same : bool
        Whether ``compared`` runs, run again, gave the same bytes.
    """

    duration: float
    phase: Phase
    segments: int
    on: float
    loud: float
    background: NDArray[np.float64]
    block: tuple[float, float] | None
    levels: tuple[float, ...]
    same: bool
    compared: int

    @property
    def p(self) -> PValue:
        """Of the event among the slides."""
        return p_value(self.on, self.background)

    def verdicts(self) -> list[Verdict]:
        """The comb is above all slides; the same again to the bit."""
        label, gap = f"GW150914, T = {self.duration:g}, {self.phase}", self.loud - float(self.background.max())
        n, detail = len(self.background), "its ln B less the largest slide's"
        return [
            Verdict(f"{label}: comb of SNR 12 found", gap, None, n, gap > 0.0, detail),
            Verdict(f"{label}: run again", float(self.same), None, self.compared, self.same, "content hash of event and slides"),
        ]

    def row(self) -> tuple[str, ...]:
        """For the table."""
        sentence, levels = self.p.sentence(self.segments, self.block), ", ".join(f"{level:.3f}" for level in self.levels)
        return (f"{self.duration:g}", self.phase, f"{self.on:.2f}", f"{self.background.max():.2f}", sentence, levels)


def _at(spectrum: Spectrum, delay: float) -> Spectrum:
    return Spectrum(spectrum.values, spectrum.psd, spectrum.duration, spectrum.mask, spectrum.detector, 1.0, delay, None)
