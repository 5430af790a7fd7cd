"""The samplers' loops, compiled: emcee's moves, dynesty's proposals and its static loop."""
