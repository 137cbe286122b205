"""One input pipeline a file: how a network sees the clips of a data set. The file's name is
`input.name` in the recipe.

An input has `Config`, a frozen dataclass with its recipe keys, and `build(config, dataset,
skeleton)`, which returns a `compress.inputs.view.View`: the evaluation steps as data, which travel
with the deployed network, and the training view. Teacher and student may see the same clips through
different inputs.
"""
