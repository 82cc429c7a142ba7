"""Trials of jobs: chaos runs (``localcluster chaos``), and what the fixtures of the pytest plugin do: contexts that are
checked, faults and events of one test, leak checks. Nothing here is loaded before somebody asks for it.
"""
