"""One data set a file; the file's name is `data.name` in the recipe.

A data set has `Config`, a frozen dataclass with its recipe keys, and `load(config, seed, progress)`, which returns a
`compress.data.dataset.Dataset`.
"""
