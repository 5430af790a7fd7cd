"""Simulation-based calibration, coverage, classifier tests and problems with known answers."""
