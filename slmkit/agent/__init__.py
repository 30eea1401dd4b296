"""Notebook 04: a small model by default, a large one by exception, on a world whose final state is checked.

The world: `world` opens a task's database (`database`, `domains`) and runs `tools` that were checked first (`shape`);
`tasks` says what a task is, `generate` draws them from `data/agent/tasks` (`script` plays an item), `user` speaks its
turns, `reward` judges the end. The loop: `loop` takes many tasks step by step, `episode` is one of them (`graph` in
code agency), with a bounded `view`, limits and a repeat `guard`, a `defence` against foreign text, and a durable
`trace`. What decides is a `decision.Decider`: a model, the `oracle`, or the `cascade` with its `routing`. `outcome` is
what became of a task, `card` shows it, `rows` makes training data. `outside` speaks MCP, `serving` HTTP, `stress`
breaks things.
"""
