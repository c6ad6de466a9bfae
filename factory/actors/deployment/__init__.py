"""Agents of the deployment sub-cluster, one file each."""
