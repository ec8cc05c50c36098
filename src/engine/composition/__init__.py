"""The composition roots, one for each function, so that neither imports what only the other needs."""
