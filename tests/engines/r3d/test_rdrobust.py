"""One value per unit is classical regression discontinuity: rdrobust's own numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sciinf.engines.r3d import R3D, R3DSettings, RaggedSample

Sets = Callable[[str], Any]
KERNELS = {"tri": "triangular", "epa": "epanechnikov", "uni": "uniform"}


def settings(kernel: str, p: int) -> R3DSettings:
    return R3DSettings(q_grid=(0.5,), kernel=kernel, p=p, method="simple")


@pytest.mark.parametrize("i", range(18))
def test_fixed_bandwidth(reference_set: Sets, i: int) -> None:
    data = reference_set("scalarC")
    rows = data.reference("rdrobust")["fixed"]
    assert len(rows) == 18
    row = rows[i]
    model = data.model(settings(KERNELS[row["kernel"]], row["p"]))
    for cov_type in ("HC0", "HC2", "HC3"):
        fit = model.fit(bandwidth=row["h"], cov_type=cov_type)
        assert_allclose(fit.params, row["coef"], rtol=0, atol=1e-9)
        assert_allclose(fit.bse, row[f"se_{cov_type.lower()}"], rtol=0, atol=1e-9)
        assert list(fit.n_eff) == row["N_h"][::-1]  # ours: plus side first
    if row["p"] == 1:
        corrected = data.model(settings(KERNELS[row["kernel"]], 2)).fit(bandwidth=row["h"], cov_type="HC0")
        assert_allclose(corrected.params, row["coef_bc"], rtol=0, atol=1e-9)
        assert_allclose(corrected.bse, row["se_robust_hc0"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("i", range(6))
def test_fuzzy(reference_set: Sets, i: int) -> None:
    data = reference_set("scalarC")
    rows = data.reference("rdrobust")["fuzzy"]
    assert len(rows) == 6
    row, treatment = rows[i], data.treatment
    outcome = RaggedSample(data.outcomes.values + treatment, data.outcomes.offsets, labels=data.outcomes.labels)
    model = R3D(data.x, outcome, cutoff=0.0, treatment=treatment, settings=settings(KERNELS[row["kernel"]], row["p"]))
    fit = model.fit(bandwidth=row["h"], bandwidth_den=row["h"], cov_type="HC0")
    assert_allclose(fit.params, row["coef"], rtol=0, atol=1e-9)
    assert_allclose(fit.bse, row["se_hc0"], rtol=0, atol=1e-9)


@pytest.mark.filterwarnings("ignore:few degrees of freedom")
def test_clusters(reference_set: Sets, anchors: dict[str, Any]) -> None:
    data = reference_set("scalarC")
    six = np.arange(300) // 6
    ids = {"sides_apart": six + 1000 * (data.x >= 0), "straddling": six}
    rows = anchors["clusters"]["rows"]
    assert len(rows) == 6
    for row in rows:
        fit = data.model(settings("triangular", row["p"]), cluster=ids[row["ids"]]).fit(bandwidth=0.45, cov_type=row["cov_type"])
        assert_allclose(fit.bse, row["se"], rtol=0, atol=anchors["clusters"]["tolerance"])
