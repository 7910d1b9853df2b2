"""The demo: broker, topics, workers and a stream of comments, from one command."""
