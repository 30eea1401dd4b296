"""The text of a call, read in each syntax that models write: `literal` is JSON and Python, `tagged` the rest."""
