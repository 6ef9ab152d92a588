"""Measure what a release reveals, by attacks (extra ``audit``).

Every attack is a function of arrays with one kind of result, `result.AttackResult`. `linkage` tells
which records are of one patient; `reconstruction` turns codes back into images; `inference` guesses
attributes; `membership` tells which images a model learned from; `suite` makes all of them that a
release allows, and `verdict` puts what came of it into words. Importing this package loads none of
them.
"""
