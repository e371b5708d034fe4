"""The budgets of the design, side by side with their peers: each module prints one table by `python -m bench.NAME`."""
