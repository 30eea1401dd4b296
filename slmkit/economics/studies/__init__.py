"""The tables of notebook 02, one function a table; each comes back as it would from CSV."""
