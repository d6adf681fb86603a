"""A local stack without Docker: a real PostgreSQL, a real Apache Kafka and the devnet on loopback ports."""

from local_stack.process import LocalStackError

__all__ = ["LocalStackError"]
