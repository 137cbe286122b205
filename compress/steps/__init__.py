"""One compression step a file; the file's name is the name in the recipe.

A step has `Config`, a frozen dataclass with its recipe keys; `title(config)`, what it does in a
person's words; `spec_after(spec, config)`, the student's spec after it; and `apply(state, config,
work, number)`, which does it and returns a `compress.steps.work.Outcome`.
"""
