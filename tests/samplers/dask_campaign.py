"""A campaign on a Dask cluster of two processes, to be killed: DIRECTORY N. Prints its content hash."""

from __future__ import annotations

import sys

from distributed import Client, LocalCluster

from sciinf.calibration import analytic
from sciinf.calibration.injections import campaign
from sciinf.samplers.settings import Emcee

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        settings = Emcee(n_walkers=32, moves="de")
        result = campaign(analytic.line(), int(sys.argv[2]), 1, settings, workers=client, directory=sys.argv[1])
        sys.stdout.write(result.content_hash())
