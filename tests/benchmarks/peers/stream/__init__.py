"""Comments in Kafka to verdicts on a topic: tidegate and what else one would write."""
