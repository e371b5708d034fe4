"""Event-driven scale-to-zero: requests and measurements in, explained scale commands out.

The architecture is one direction of knowledge, held by import-linter:

    cli            what a person types; builds nothing itself
    app            the composition root: the only place that builds adapters and wires parts together
    insight        explain and replay: reads the logs that the other parts wrote
    scalers        how one trigger is judged: Yes, No or Unknown
    worker         order, ownership, restore: one owner per service, one transaction per batch
    handler        command -> precondition -> act -> result
    gateway        HTTP in
    adapters       one vendor each: Kafka, Prometheus, Kubernetes, the clock, and the in-memory twins
    settings       the one reader of the environment
    telemetry      metric names and how they are rendered
    children       servers that run as our children: what ends them with us, where their programs are kept
    wire           between the messages of `schemas` and the values of `core`
    ports          what the parts ask of the world, in our words
    core           pure: observe(state, event, now) and decide(policy, state, answers, surroundings, now)

A part knows only what is below it; scalers, worker, handler, gateway and adapters do not know one another.
`schemas` stands beside all of this and imports nothing of it, so that any producer can depend on it alone.
A module that nobody placed in this list fails the check; so there is no drawer for leftovers.
"""
