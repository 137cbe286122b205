"""The folders that are installed; everything else about the package stands in pyproject.toml.

A file of its own, for pyproject.toml can either find packages or map folders, not both: the recipes
lie in configs/ at the top, where people look for them, and are installed as `compress/configs`, so
that site-packages gets no folder with a name as common as "configs".
"""

from setuptools import find_packages, setup

# benchmarks/ and tests/ measure and check this repository; they are not installed.
PACKAGES = find_packages(include=["compress*", "export*", "teachers*"])

setup(
    packages=[*PACKAGES, "compress.configs"],
    package_dir={"compress.configs": "configs"},
)
