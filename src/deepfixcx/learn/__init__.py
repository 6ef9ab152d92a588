"""Learn from codes (extra ``learn``): classifiers, how good they are, and which code to take.

`training` and `prediction` make and use models; `evaluation` says how good one is; `loading` turns
a dataset into arrays; `baselines` are what codes are compared with; and `sweep` tries every level
and number of patches. Importing this package loads none of them.
"""
