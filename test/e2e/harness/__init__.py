"""A node for end-to-end tests: the fixture hub, both daemons as they run in the DaemonSet, and the kubelet double."""
