"""How a segment of real strain becomes Fourier data, on source and off: the same steps for every segment of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sciinf.core.prior_set import PriorSet
from sciinf.core.problem import Problem
from sciinf.engines.echo.background import Segments, block_interval, p_value, time_slides
from sciinf.engines.echo.data import Psd, Spectrum
from sciinf.engines.echo.strain import Strain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Conditioning", "OffSource"]

PsdSource = Literal["off_source", "segment", "file"]


@dataclass(frozen=True)
class Conditioning:
    """Where the search looks, and what is done to the strain there and in every off-source segment.

    Parameters
    ----------
    start, duration : float
        On-source segment, GPS s and s.
    psd : {"off_source", "segment", "file"}
        Welch's PSD of all strain but the on-source segment, of the analysed segment itself, or one that was read.
    lines : mapping of str to mapping
        Candidate lines by detector, Hz -> tolerance in Hz; none where a detector has none.
    threshold : float, optional
        On abs(d_white) sqrt(4 df), above which a candidate is a line; the published one by default (`find_lines`).

    Notes
    -----
    A steady line stands out of the PSD of its own strain by no more than sqrt(6.9 T / 1 s) (Welch, 0.5 s Blackman segments; derived here):
    by 3.7 at T = 2 s. The published threshold of 5 finds it in segments above 3.6 s only, and shorter ones need a lower one.
    """

    start: float
    duration: float
    psd: PsdSource = "off_source"
    lines: Mapping[str, Mapping[float, float]] | None = None
    threshold: float | None = None

    def spectrum(self, strain: Strain, psd: Psd | None = None, start: float | None = None) -> Spectrum:
        """Fourier data of the segment at GPS ``start`` (the on-source one by default); ``psd`` is the one read from a file.

        Raises
        ------
        DataError
            If the strain does not hold what the segment needs; see `condition`.

        Notes
        -----
        Lines that stand out of a segment are notched, the PSD is bridged over them and the bins beside them masked. An off-source PSD is
        made again of the notched strain, since a strong line leaks further than the bridge reaches.
        """
        from sciinf.engines.echo.conditioning import apply_lines, condition, find_lines, notch, welch_psd

        at = self.start if start is None else start
        candidates = (self.lines or {}).get(strain.detector, {})
        event = (self.start, self.start + self.duration)
        if self.psd == "segment" and not candidates:
            condition(strain, Psd.white(1.0), at, self.duration)  # its message says what is needed and what fits
            return condition(strain, welch_psd(strain.cut(at, self.duration)), at, self.duration)
        if self.psd == "segment":
            return apply_lines(strain, None, find_lines(strain, None, candidates, at, self.duration, threshold=self.threshold))
        if self.psd == "off_source":
            psd = welch_psd(strain, exclude=event)
        assert psd is not None
        if not candidates:
            return condition(strain, psd, at, self.duration)
        report = find_lines(strain, psd, candidates, at, self.duration, threshold=self.threshold)
        if self.psd == "off_source":
            psd = welch_psd(notch(strain, report.lines), exclude=event)
        return apply_lines(strain, psd, report)


@dataclass(frozen=True, eq=False)
class OffSource:
    """What time slides are made of: the strain of two detectors, and which of its segments are paired.

    Parameters
    ----------
    strains : tuple of Strain
        Of both detectors, in the engine's order.
    psds : tuple of Psd or None
        Those read from files, None where they are made of the strain.
    frames : tuple of (response, delay)
        Of both detectors.
    conditioning : Conditioning
        As on source.
    segments : Segments
        Where they are.
    pairs : (N, 2) int64 array
        Which are paired.
    level : float
        Of the intervals.
    """

    strains: tuple[Strain, ...]
    psds: tuple[Psd | None, ...]
    frames: tuple[tuple[float, float], ...]
    conditioning: Conditioning
    segments: Segments
    pairs: NDArray[np.int64]
    level: float = 0.95

    def problems(self, engine: Any, priors: PriorSet) -> tuple[Problem, ...]:
        """The engine's problem on every pair; conditions the segments."""
        groups = [
            [
                replace(self.conditioning.spectrum(strain, psd, start), response=response, delay=delay, start_time=None)
                for start in self.segments.starts.tolist()
            ]
            for strain, psd, (response, delay) in zip(self.strains, self.psds, self.frames, strict=True)
        ]
        return time_slides(engine, priors, groups[0], groups[1], pairs=self.pairs)

    def judge(self, on: float, log_evidence: NDArray[np.float64]) -> dict[str, Any]:
        """P-value of ``on`` among the slides' ln B with its intervals, and a sentence that says it; JSON-able."""
        segments = self.segments
        value = p_value(on, log_evidence, self.level, overlapping=not segments.disjoint)
        block = block_interval(on, log_evidence, self.pairs, self.level, block=segments.block)
        sentence = value.sentence(len(segments), block)
        if not segments.disjoint:
            sentence += f". The segments overlap by {100.0 * segments.overlap:g} %, so only the bootstrap gives an interval"
        return {
            **asdict(value),
            "interval": None if value.interval is None else list(value.interval),
            "block_interval": list(block),
            "segments": segments.starts.tolist(),
            "overlap": segments.overlap,
            "guard": segments.guard,
            "pairs": self.pairs.tolist(),
            "sentence": f"{sentence}.",
        }

    def figure(self, record: Mapping[str, Any]) -> Figure:
        """Histogram of the slides' ln B with the event's, from a record of the run."""
        from sciinf.engines.echo.plots import background_histogram

        return background_histogram(float(record["on"]), record["log_evidence"], record.get("p"), record.get("block_interval"))
