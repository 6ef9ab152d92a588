"""Compiled loops. Nothing here is public; `packets`, `pooling` and `codec` are the ways in.

Every kernel releases the interpreter lock and works on a run of images alone; threads are ordinary
Python threads (see `threads`). Compiled code is cached beside the sources, or in the user's cache
folder where that is not writable.
"""
