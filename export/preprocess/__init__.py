"""The preprocessing that ships with a model: the steps that `deployed.json` names, plain numpy."""
