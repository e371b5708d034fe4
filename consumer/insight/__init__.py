"""Insight: what happened and why, read from the topics alone.

Folds decoded messages into answers for people: the board of a live run, the story of one service, the figures of a
run. Pure folds; the readers that feed them come through the ports. No decisions are taken here, and nothing is
written: whatever this package says can be said by anyone who reads the same topics.
"""
