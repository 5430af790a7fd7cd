"""A comb put into two seconds after GW150914, found again, and judged by time slides: from Python, here or on a Dask cluster.

    python docs/examples/echo_slides.py --data FOLDER                  # one process
    python docs/examples/echo_slides.py --data FOLDER --workers 4      # the slides in four processes
    python docs/examples/echo_slides.py --data FOLDER --workers dask   # on a Dask cluster of this machine; see docs/clusters.md for others

FOLDER, or the environment variable SCIINF_ECHO_DATA, holds the two files of 32 s that GWOSC gives for GW150914, itself or in strain/:
https://gwosc.org/eventapi/html/GWTC-1-confident/GW150914/. Started again with the same --out, finished slides are not sampled again.
"""

import argparse
import contextlib
import dataclasses
import math
import os
import sys
from pathlib import Path

import numpy as np

import sciinf
from sciinf.calibration.injections import campaign_over
from sciinf.engines import echo
from sciinf.engines.echo.conditioning import line_candidates
from sciinf.engines.echo.recipe import Conditioning, OffSource
from sciinf.results.run_directory import RunDirectory
from sciinf.run.report import ReportInput, render

FILES = {name: f"{name[0]}-{name}_LOSC_4_V2-1126259446-32.hdf5" for name in ("H1", "L1")}
FRAMES = {"H1": (1.0, 0.0), "L1": (1.0, 0.0069)}  # response and delay: the wave came to L1 6.9 ms before H1
START, DURATION = 1126259462.44, 2.0  # GPS s, s
COMB = {"spacing": 5.2, "offset_hz": 1.6, "width": 1.0, "band": (60.0, 200.0)}
PHASE_SHIFT = 1.0  # of L1, rad


def strain_in(folder):
    """The strain of both detectors, or a message that says what is missing."""
    if folder is None:
        sys.exit("no data: give --data FOLDER, or set SCIINF_ECHO_DATA, with " + " and ".join(FILES.values()))
    for place in (Path(folder), Path(folder) / "strain"):
        if all((place / file).is_file() for file in FILES.values()):
            return [echo.read_gwosc(place / file) for file in FILES.values()]
    sys.exit(f"{folder} does not hold {' and '.join(FILES.values())}, nor does its folder strain; they are GWOSC open data")


def search(strains, n_slides, snr):
    """The search with a comb of network SNR ``snr`` in its data, and with what its time slides are made of."""
    lines = {name: line_candidates(name, "O1") for name in FILES}
    how = Conditioning(START, DURATION, psd="off_source", lines=lines, threshold=3.0)  # a line stands out by 3.7 at 2 s
    segments = echo.off_source_segments(strains[0], START, DURATION, guard=1.0)
    slides = OffSource(tuple(strains), (None, None), tuple(FRAMES.values()), how, segments, echo.slide_pairs(segments, n_slides, 3))
    noise = [dataclasses.replace(how.spectrum(one), response=FRAMES[one.detector][0], delay=FRAMES[one.detector][1]) for one in strains]
    engine = echo.EchoSearch(tuple(noise), amplitude="marginalised", remnant=echo.Remnant(0.67, 67.65), off_source=slides)
    unit = echo.simulate.comb(noise[0], amplitude=1.0, rng=np.random.default_rng(11), **COMB)
    seen = [echo.simulate.project(unit, one, shift) for one, shift in zip(noise, (0.0, PHASE_SHIFT), strict=True)]
    scale = snr / math.hypot(*(echo.simulate.optimal_snr(one) for one in seen))
    data = [echo.simulate.inject(one, add.with_values(scale * add.values)) for one, add in zip(noise, seen, strict=True)]
    return dataclasses.replace(engine, strain=tuple(data))  # the amplitude's prior stays that of the noise


@contextlib.contextmanager
def workers_of(given):
    """A number of processes, or a client of a Dask cluster: one thread per worker process."""
    if given != "dask":
        yield int(given)
        return
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        yield client


def main():
    """Sample the comb, then the slides; print what they say, and write report.html."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--data", default=os.environ.get("SCIINF_ECHO_DATA"), help="folder of the strain files")
    options.add_argument("--out", type=Path, default=Path("runs/echo_slides"), help="run directory")
    options.add_argument("--workers", default="1", help="a number of processes, or dask")
    options.add_argument("--slides", type=int, default=20, help="of the 110")
    options.add_argument("--n-live", type=int, default=200)
    options.add_argument("--snr", type=float, default=14.0, help="of the comb, in both detectors together")
    given = options.parse_args()

    engine = search(strain_in(given.data), given.slides, given.snr)
    problem = sciinf.Problem(engine, engine.default_priors(), name="echo_slides")
    settings = sciinf.Dynesty(n_live=given.n_live)
    with workers_of(given.workers) as workers:
        again = (given.out / "manifest.json").exists()
        posterior = sciinf.sample(problem, settings, seed=1, directory=given.out, resume=again, progress=False)
        posterior = engine.check(posterior)  # against a scan of all combs
        problems = engine.off_source.problems(engine, problem.priors)
        slides = campaign_over(problems, settings, seed=1, workers=workers, directory=given.out / "slides", n_draws=20)
    record = {
        **engine.off_source.judge(posterior.log_evidence, slides.log_evidence),
        "on": posterior.log_evidence,
        "log_evidence": slides.log_evidence.tolist(),
    }
    print(posterior.summary())
    print(f"ln B = {posterior.log_evidence:.2f} +- {posterior.log_evidence_error:.2f}; background: {record['sentence']}")
    directory = RunDirectory(given.out)
    source = ReportInput(posterior, directory.read_manifest(), given.out.resolve().name, problem=problem, background=record)
    directory.report.write_text(render(source), encoding="utf-8")
    print(f"report: {directory.report}")


if __name__ == "__main__":
    main()
