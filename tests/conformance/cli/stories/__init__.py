"""The stories, a file an area."""
