"""The scripts, a file an area. Each is a story told in calls; its docstring is the rule it checks."""
