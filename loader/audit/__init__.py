"""The audit trail: events of a run, seals, proof, retention."""
