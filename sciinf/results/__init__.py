"""Posterior, its file, its run directory, diagnostics and pictures."""
