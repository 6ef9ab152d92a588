"""What a code keeps, before any model; and why a model decided, from the code alone.

`explain_bands` says for a spec and an image size what every band answers to, and what is removed,
obscured and preserved; `code_energy` says how much of one image each band holds. `Attribution` and
what makes it explain the answers of a model.

Importing this package loads neither torch nor matplotlib: names that need more are imported from
their own modules.
"""
