"""A simulated cluster: workloads whose pods take time to start, for demos and rehearsals; says SIMULATED everywhere.

It refuses and accepts changes exactly as a real API server does (the same contract tests hold both), and fails on
demand. What may not enter: behaviour that no cluster has, and time that is not the clock's.
"""

from consumer.adapters.simulated_cluster.cluster import LABEL, SimulatedCluster
from consumer.adapters.simulated_cluster.pods import Startup
from consumer.adapters.simulated_cluster.trouble import Trouble
from consumer.adapters.simulated_cluster.workload import Usage

__all__ = ["LABEL", "SimulatedCluster", "Startup", "Trouble", "Usage"]
