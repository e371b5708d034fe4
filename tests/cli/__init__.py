"""Tests of consumer/cli."""
