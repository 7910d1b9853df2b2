"""What tests build workers of: real Kafka, a stub for the model, kills at named points."""
