"""A calibration campaign, here or on a cluster: the result does not depend on where.

    python docs/examples/campaign.py laptop DIRECTORY 20
    python docs/examples/campaign.py dask DIRECTORY 20
    python docs/examples/campaign.py slurm DIRECTORY 2000
    mpiexec -n 3 python -m mpi4py.futures docs/examples/campaign.py mpi DIRECTORY 20

Killed and started again with the same DIRECTORY it goes on, anywhere; a larger number of units adds to those that are there.
"""

import contextlib
import sys
from pathlib import Path

from own_likelihood import engine  # a module that workers can import: the likelihood cannot live in this script

import sciinf
from sciinf.calibration import sbc
from sciinf.calibration.injections import campaign


@contextlib.contextmanager
def laptop():
    """Processes of this machine."""
    yield 2


@contextlib.contextmanager
def dask():
    """A Dask cluster of this machine: one thread per worker process."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        yield client


@contextlib.contextmanager
def slurm():
    """Jobs of a SLURM queue: ten of four workers each, more or fewer as units are left."""
    from dask_jobqueue import SLURMCluster
    from distributed import Client

    cluster = SLURMCluster(
        queue="normal",
        account="my-project",
        cores=4,  # of one job
        processes=4,  # one worker process per core, each with one thread
        memory="8 GB",
        walltime="04:00:00",
        python=sys.executable,  # the environment that runs this script, on a file system that the nodes see
        log_directory="slurm-logs",
        job_script_prologue=[
            "export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1",
            f"export PYTHONPATH={Path(__file__).resolve().parent}:$PYTHONPATH",  # where own_likelihood.py lies
        ],
        worker_extra_args=["--lifetime", "230m", "--lifetime-stagger", "5m"],  # leave before the wall time, not all at once
    )
    with cluster, Client(cluster) as client:
        cluster.adapt(minimum_jobs=1, maximum_jobs=10)
        yield client


@contextlib.contextmanager
def mpi():
    """Ranks of an MPI job: rank 0 runs this script, the others are workers."""
    from mpi4py.futures import MPIPoolExecutor

    with MPIPoolExecutor() as executor:
        yield executor


if __name__ == "__main__":
    where, directory, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
    problem = sciinf.Problem(engine(), engine().default_priors())
    with {"laptop": laptop, "dask": dask, "slurm": slurm, "mpi": mpi}[where]() as workers:
        result = campaign(problem, n, 1, sciinf.Emcee(n_walkers=32, moves="de"), workers=workers, directory=directory)
    print(result.content_hash())
    if n >= 100:  # fewer are a smoke test only
        for verdict in sbc.test(result.ranks, result.names).verdicts:
            print(verdict)
