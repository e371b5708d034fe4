"""Tests of consumer/app."""
