"""dynesty and emcee behind one `sample`, with pools, checkpoints and optimisers."""
