"""A random workload against the real daemon, and what must be true after each of its steps."""
