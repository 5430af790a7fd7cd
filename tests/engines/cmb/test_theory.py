from __future__ import annotations

import importlib.util
import logging
import pickle
import subprocess
import sys

import numpy as np
import pytest

from sciinf.core.errors import ConfigError, MissingDependencyError
from sciinf.engines.cmb import theory as module
from sciinf.engines.cmb.background import Background
from sciinf.engines.cmb.spectra import SPECTRA, Spectra
from sciinf.engines.cmb.theory import CAMBSettings, CAMBTheory, Theory, parameters_of, theta_mc_form

POINT = np.array([0.022383, 0.12011, 1.040909, 0.0543, 3.0448, 0.96605])  # bf_pol, specification section 5
H0 = 67.30842784

needs_camb = pytest.mark.skipif(importlib.util.find_spec("camb") is None, reason='needs CAMB: pip install "sciinf[cmb]"')
QUICK = CAMBSettings(lmax=300, lens_potential_accuracy=0.0, sigma8_kmax=1.0, sigma8_k_per_logint=5)


def test_parameters_by_scale() -> None:
    assert parameters_of("theta_mc")[2] == "theta_mc"
    assert parameters_of("H0") == ("omega_b", "omega_c", "H0", "tau", "logA", "n_s")
    with pytest.raises(ConfigError, match="did you mean 'H0'"):
        parameters_of("H_0")  # type: ignore[arg-type]


def test_theta_mc_form() -> None:
    background = Background()
    points = np.array([POINT, POINT])
    points[:, 2] = H0
    converted = theta_mc_form(points, "H0", background)
    assert np.allclose(converted[:, 2], 1.040909, rtol=3e-5)
    assert points[0, 2] == H0
    assert theta_mc_form(points, "theta_mc", background) is points


def test_settings_normalise_numbers_and_refuse_no_multipoles() -> None:
    assert CAMBSettings(lens_potential_accuracy=1) == CAMBSettings()
    assert isinstance(CAMBSettings(lens_potential_accuracy=1).describe()["lens_potential_accuracy"], float)
    with pytest.raises(ConfigError, match="lmax"):
        CAMBSettings(lmax=1)


def test_camb_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r'pip install "sciinf\[cmb\]"'):
        CAMBTheory()


@needs_camb
def test_camb_is_imported_only_when_it_runs() -> None:
    code = "import sys; from sciinf.engines.cmb.theory import CAMBTheory; CAMBTheory().fingerprint(); assert 'camb' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs_camb
def test_fingerprint_holds_settings_and_scale() -> None:
    prints = {CAMBTheory().fingerprint(), CAMBTheory("H0").fingerprint(), CAMBTheory(settings=QUICK).fingerprint()}
    assert len(prints) == 3
    assert CAMBTheory().fingerprint() == CAMBTheory(settings=CAMBSettings(m_nu=0.06)).fingerprint()
    theory = CAMBTheory()
    assert pickle.loads(pickle.dumps(theory)).fingerprint() == theory.fingerprint()
    assert isinstance(theory, Theory)
    assert theory.domain() is None


@needs_camb
@pytest.mark.camb
def test_camb_gives_spectra_and_derived() -> None:
    theory = CAMBTheory(settings=QUICK)
    batch = theory.spectra_many(POINT[None, :])
    assert {name: batch[name].shape for name in SPECTRA} == dict.fromkeys(SPECTRA, (1, 301))
    assert theory.l_max["TT"] == 300
    assert 5000.0 < batch["TT"][0, 200] < 6000.0
    h0, sigma8, omega_m, age = theory.derived_many(POINT[None, :])[0]
    # CAMB's own root of theta_MC; the rest: published best fit, Planck 2018 VI table 1 (sigma8 .812, Omega_m .316, age 13.80).
    assert h0 == pytest.approx(H0, abs=2e-3)
    assert sigma8 == pytest.approx(0.812, abs=0.005)
    assert omega_m == pytest.approx(0.316, abs=0.003)
    assert age == pytest.approx(13.80, abs=0.02)
    by_h0 = CAMBTheory("H0", settings=QUICK)
    point = POINT.copy()
    point[2] = h0
    again = by_h0.spectra(point)
    assert np.allclose(again["TT"], batch["TT"][0], rtol=1e-6)
    assert by_h0.derived_names[0] == "theta_mc"
    # CAMB's theta_MC at its H0 is not its input to more than its root's tolerance (2e-6).
    assert by_h0.derived_many(point[None, :])[0, 0] == pytest.approx(1.040909, abs=5e-6)


@needs_camb
@pytest.mark.camb
def test_camb_failing_is_nan_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    theory = CAMBTheory(settings=QUICK)
    impossible = POINT.copy()
    impossible[2] = 5.0
    with caplog.at_level(logging.WARNING, logger="sciinf.engines.cmb.theory"):
        batch = theory.spectra_many(np.array([impossible, impossible]))
    assert np.all(np.isnan(batch["TT"][:, 2:]))
    assert np.all(batch["TT"][:, :2] == 0.0)
    assert list(theory.failures.values()) == [2]
    assert len(caplog.records) == 1
    assert "theta_mc" in caplog.text
    assert theory.explain(impossible)[0].startswith("CAMB: ")
    assert np.all(np.isnan(theory.derived_many(impossible[None, :])))


@needs_camb
def test_spectra_that_are_not_finite_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(point: dict[str, float], settings: CAMBSettings) -> tuple[dict[str, np.ndarray], np.ndarray]:
        spectra = {name.lower(): np.zeros(settings.lmax + 1) for name in SPECTRA}
        spectra["ee"][7] = np.nan
        return spectra, np.ones(4)

    monkeypatch.setattr(module, "camb_point", broken)
    theory = CAMBTheory(settings=QUICK)
    assert np.all(np.isnan(theory.spectra(POINT)["TT"][2:]))
    assert list(theory.failures) == ["the spectrum EE is not finite"]


@needs_camb
def test_wrong_shape() -> None:
    with pytest.raises(ConfigError, match="omega_b, omega_c, theta_mc"):
        CAMBTheory().spectra_many(np.zeros((2, 5)))


@needs_camb
@pytest.mark.camb
@pytest.mark.slow
def test_camb_reproduces_the_stored_spectra(stored_spectra: dict[str, Spectra]) -> None:
    # The stored spectra were made with CAMB 2.0.5 and these settings; 1e-6 leaves room for another CPU.
    found = CAMBTheory().spectra(POINT)
    for name in ("TT", "TE", "EE", "PP"):
        stored = stored_spectra["bf_pol"][name]
        assert np.max(np.abs(found[name] - stored)) < 1e-6 * np.max(np.abs(stored))
