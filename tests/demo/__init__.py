"""Tests of the demo's make-believe surroundings."""
