"""Whether a reply calls a tool: `decision` by a threshold that a model folder may ship."""
