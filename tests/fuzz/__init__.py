"""Bad input of every kind: what strangers may send must cost them an error or a dead letter, and nobody else anything.

`make fuzz` tries many more examples than `make test` does. What may not enter: expectations of what is decided.
"""
