"""The seven data sets that come with statsmodels, fitted, and their verdicts."""

from __future__ import annotations

import warnings
from typing import Any

from sciinf.calibration.verdict import Verdict
from sciinf.engines.pn import PNResult, pn_criterion

__all__ = ["SETS", "accepted", "fitted", "judged_sets"]

SETS = ("spector", "cpunish", "star98", "fair", "randhie", "stackloss", "longley")


def fitted(name: str) -> Any:
    """A fit of all columns with a constant: logit, Poisson, binomial or normal, as the set asks for; randhie's first 2000 rows.

    Of fair it is whether there was an affair.
    """
    import statsmodels.api as sm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of pandas, from within the sets' loaders
        loaded = getattr(sm.datasets, name).load_pandas()
        if name == "fair":
            x = sm.add_constant(loaded.data[["rate_marriage", "age", "yrs_married", "children", "religious", "educ"]])
            return sm.Logit((loaded.data["affairs"] > 0).astype(float), x).fit(disp=0)
        y, x = loaded.endog, sm.add_constant(loaded.exog)
        if name == "spector":
            return sm.Logit(y, x).fit(disp=0)
        if name == "cpunish":
            return sm.GLM(y, x, family=sm.families.Poisson()).fit()
        if name == "star98":
            return sm.GLM(y, x, family=sm.families.Binomial()).fit()
        if name == "randhie":
            return sm.Poisson(y[:2000], x[:2000]).fit(disp=0)
        return sm.OLS(y, x).fit()


def judged_sets() -> dict[str, PNResult]:
    """The criterion on each, with its defaults."""
    return {name: pn_criterion(fitted(name)) for name in SETS}


def accepted(found: dict[str, PNResult]) -> list[Verdict]:
    """At C = .02 fair alone passes both ways, and randhie as a true model, its overdispersion left out."""
    both = {name for name, one in found.items() if one.verdict_sandwich.accept and one.verdict_model.accept}
    model = {name for name, one in found.items() if one.verdict_model.accept}
    return [
        Verdict("data sets: accepted both ways", len(both), None, len(found), both == {"fair"},
                f"{', '.join(sorted(both))}; expected fair"),
        Verdict("data sets: accepted as true models", len(model), None, len(found), model == {"fair", "randhie"},
                f"{', '.join(sorted(model))}; expected fair, randhie"),
    ]  # fmt: skip
