"""The machine's cache: values that outlive the process that made them, for every process and every run of a user.

An entry is one self-describing file (`entry_file`) in a directory of shared memory or on the disk (`home`). Programs
read entries by themselves, without asking anybody; a server (`server`, started by whoever is first) decides who
computes what is missing (`claims`) and what may be kept where (`index`, `mover`). `cache` is what programs use.
"""
