"""A run in a process of its own, to be killed: DIRECTORY KIND WORKERS CHECKPOINT_EVERY [FUNCTION CALL].

With FUNCTION ("fsync", "replace" or "link") and CALL the process kills itself at that call of ``os.FUNCTION``: inside the writing of a
file.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pool_likelihoods as likelihoods

from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty, Emcee

SETTINGS = {
    "static": Dynesty(n_live=40, walks=10, dlogz=0.5),
    "dynamic": Dynesty(n_live=60, walks=5, dlogz=0.5, dynamic=True, n_effective=500),
    "emcee": Emcee(n_walkers=12, n_steps=300, tau_multiple=3.0),
}
SEED = 11


def die_at(name: str, call: int) -> None:
    """Replace ``os.NAME`` by one that ends the process at its ``call``-th call."""
    if name == "replace":
        original: Any = Path.replace
    else:
        original = getattr(os, name)
    left = [call]

    def deadly(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    if name == "replace":
        Path.replace = deadly  # type: ignore[method-assign]
    else:
        setattr(os, name, deadly)


if __name__ == "__main__":
    folder, kind, workers, every = sys.argv[1:5]
    if len(sys.argv) > 5:
        die_at(sys.argv[5], int(sys.argv[6]))
    problem = likelihoods.of(likelihoods.slow_gauss)
    found = sample(
        problem,
        SETTINGS[kind],
        seed=SEED,
        workers=int(workers),
        directory=folder,
        resume=True,
        checkpoint_every=float(every),
        progress=False,
    )
    sys.stdout.write(found.content_hash())
