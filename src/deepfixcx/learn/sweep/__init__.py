"""Every level and number of patches on the data at hand, and which to take.

`run` goes through the settings and `options` says which; `survey` reads the dataset once, `setting`
measures one of them with the classifiers of `models`; `rows` are what is found, and recommend.
Importing this package loads none of them.
"""
