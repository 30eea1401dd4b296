"""The text of a call in each syntax that models write: `literal` reads JSON and Python, `tagged` the rest; `spelling`
is the grammar of arguments that are no JSON."""
