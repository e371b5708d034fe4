"""What every implementation of a port must pass: one abstract class per port, run on memory and on the real thing."""
