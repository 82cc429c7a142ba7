"""Shuffles: how records travel from map tasks to reduce tasks."""
