"""Blocks: their ids, levels, stores, block managers and the master. Usable alone, in one process."""
