"""One owner per service: takes records in, asks the core, and writes everything it decides in one order.

Here live order, concurrency, fencing, restore and the evaluation cycle. It knows ports, never vendors, and
never a threshold: what a value means is judged in `consumer.scalers`, what follows from it in
`consumer.core`. What may not enter: Kafka, Kubernetes or HTTP clients, rules, and anything that another
process would have to agree with outside the one transaction of a partition.
"""
