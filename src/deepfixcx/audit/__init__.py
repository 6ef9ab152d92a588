"""Measure what a release reveals, by attacks (extra ``audit``).

Every attack is a function of arrays and returns `result.AttackResult`. `linkage` finds records of
one patient; `reconstruction` inverts codes into images; `inference` predicts attributes;
`membership` infers the training images of a model; `suite` makes all attacks that a release allows,
and `verdict` states their results in words. Importing this package loads none of these modules.
"""
