"""Tools over the Model Context Protocol (extra `mcp`): any server's for the agent, and this world's for any client."""
