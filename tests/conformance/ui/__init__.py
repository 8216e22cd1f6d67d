"""The official Web UI in front of the server under test."""
