"""Agents of the utility sub-cluster, one file each."""
