"""The composition root: the only place that builds adapters and puts them behind the ports.

`log` opens Kafka as the settings say; `running` puts worker, handler and gateway together and runs them until they
are told to stop. No rule and no wire format may enter: what is decided here is only who talks to whom.
"""
