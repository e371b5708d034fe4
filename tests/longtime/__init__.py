"""Weeks of a drawn trace for the worker as it is, on a log in memory, judged by an oracle of their own."""
