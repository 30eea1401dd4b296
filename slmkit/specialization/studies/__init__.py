"""The experiments of notebook 03: each takes the `Lab` and gives a tidy table, a row an item, a run or an arm."""
