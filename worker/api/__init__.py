"""The rooms of the worker behind HTTP instead of Kafka."""
