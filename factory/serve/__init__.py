"""The door: applications on Ray Serve."""
