"""Parameters, priors, the Engine protocol, the guarded Problem: what every other room stands on."""
