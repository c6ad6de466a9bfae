"""Traces and logs; their ids are carried through actors and events."""
