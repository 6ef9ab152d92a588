"""Learn from codes (extra ``learn``): classifiers, how good they are, and which code to take.

`training` and `prediction` make and use models; `metrics` judges scores, with intervals over
patients; `loading` turns a dataset into arrays; `baselines` are what codes are compared with; and
`sweep` tries every level and number of patches. Importing this package loads none of them.
"""
