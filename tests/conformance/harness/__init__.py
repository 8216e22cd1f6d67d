"""What the three parts of the suite share: environment, servers, reporting."""
