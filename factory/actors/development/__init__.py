"""Agents of the development sub-cluster, one file each."""
