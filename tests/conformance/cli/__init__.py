"""The `temporal` CLI, unmodified: the same commands to both servers, their output compared."""
