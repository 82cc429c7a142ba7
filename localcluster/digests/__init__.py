"""Digests of values and of code: the same in each process and run for the same content, and others for other content.

`content` is for data, `code` for functions, classes and modules with all that they refer to.
"""
