"""Planck-style hybrid CMB likelihoods."""
