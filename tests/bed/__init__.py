"""The test bed: a real control plane, the kinds that it knows, the objects on it, and a client to wait with."""
