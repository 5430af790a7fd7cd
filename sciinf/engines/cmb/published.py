"""Published LambdaCDM posteriors, to set beside ours: goals for summaries, never exact tests."""

from __future__ import annotations

from collections.abc import Sequence

from sciinf.engines.cmb.component import Component
from sciinf.engines.cmb.plik_lite import HIGH_L_SPECTRA, PlikLite

__all__ = ["PUBLISHED", "combination_of", "published_values"]

# Planck 2018 results VI (arXiv:1807.06209), table 2; mean and standard deviation (tau of TT,TE,EE+lowE: the mean of +0.0070 and -0.0081).
# Figures as recalled, not read again from the paper. There low-l TT is Commander and high l the full Plik; here two bins and plik_lite.
PUBLISHED: dict[str, dict[str, tuple[float, float]]] = {
    "TT,TE,EE+lowE": {
        "omega_b": (0.02236, 0.00015), "omega_c": (0.1202, 0.0014), "theta_mc": (1.04090, 0.00031), "tau": (0.0544, 0.00755),
        "logA": (3.045, 0.016), "n_s": (0.9649, 0.0044), "H0": (67.27, 0.60),
    },
    "TT,TE,EE+lowE+lensing": {
        "omega_b": (0.02237, 0.00015), "omega_c": (0.1200, 0.0012), "theta_mc": (1.04092, 0.00031), "tau": (0.0544, 0.0073),
        "logA": (3.044, 0.014), "n_s": (0.9649, 0.0042), "H0": (67.36, 0.54),
    },
    "TT+lowE": {
        "omega_b": (0.02212, 0.00022), "omega_c": (0.1206, 0.0021), "theta_mc": (1.04077, 0.00047), "tau": (0.0522, 0.0080),
        "logA": (3.040, 0.016), "n_s": (0.9626, 0.0057), "H0": (66.88, 0.92),
    },
}  # fmt: skip

_SOURCE = "Planck 2018 VI, table 2, {} (there low-l TT is Commander, here it is two Gaussian bins)"
_BASE = {"plik_lite", "low_tt_bins", "low_ee"}


def combination_of(components: Sequence[Component]) -> str | None:
    """Name of the published combination that these components stand for, or None: real, verified data and no cut in l are needed."""
    names = {component.name for component in components}
    high = next((component for component in components if isinstance(component, PlikLite)), None)
    real = all(component.origin.files and not component.origin.notes and component.origin.source != "simulated" for component in components)
    if high is None or high.l_range is not None or not real or not _BASE <= names <= {*_BASE, "lensing"}:
        return None
    lensing = "lensing" in names
    if high.spectra == HIGH_L_SPECTRA:
        return "TT,TE,EE+lowE+lensing" if lensing else "TT,TE,EE+lowE"
    return "TT+lowE" if high.spectra == ("TT",) and not lensing else None


def published_values(components: Sequence[Component], parameters: Sequence[str]) -> dict[str, tuple[float, float, str]]:
    """(mean, standard deviation, source) by name for the six parameters and H0; empty for a combination that was not published.

    ``parameters`` are the engine's: nothing is offered for a theory that is not flat LambdaCDM.
    """
    name = combination_of(components)
    if name is None or not set(PUBLISHED[name]) - {"H0", "theta_mc"} <= set(parameters):
        return {}
    return {key: (mean, std, _SOURCE.format(name)) for key, (mean, std) in PUBLISHED[name].items()}
