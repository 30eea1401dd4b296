"""Are small models good enough at what agents ask of a model? Suites, scoring and evaluation."""
