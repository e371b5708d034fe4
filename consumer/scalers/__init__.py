"""How one trigger is judged: each scaler answers Yes, No or Unknown, with its evidence and its time.

Here live the `Scaler` contract, the built-in types, their registry, and the batching of queries. What may
not enter: cooldowns, replicas, or any combination of several triggers (that is `consumer.core`), and a
number in the place of "unknown".
"""
