"""Kubernetes over its API: what can be scaled, what is wanted, and what people are told.

What may not enter: a decision, and any word of the API in what leaves this package.
"""
