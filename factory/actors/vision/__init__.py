"""Agents of the vision sub-cluster, one file each."""
