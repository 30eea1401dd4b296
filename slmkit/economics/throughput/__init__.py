"""Inside of the throughput model: shapes as arrays, step times, memory, and measured rows as questions."""
