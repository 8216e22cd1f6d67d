"""Programs with the official Python SDK, unmodified, against the server under test."""
