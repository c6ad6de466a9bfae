"""Agents of the architecture sub-cluster, one file each."""
