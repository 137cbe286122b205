"""One data set a file; the file's name is `data.name` in the recipe.

A data set has `Config`, a frozen dataclass with its recipe keys, and `load(config, seed,
progress)`, which returns a `compress.data.dataset.Dataset` of clips as recorded. `INPUT` is the
file of `compress/inputs` that its clips are usually seen through, `INPUT_DEFAULTS` the keys of that
input it changes.
"""
