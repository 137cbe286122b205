"""Every module that a recipe can name keeps the contract of its kind."""

import dataclasses
import inspect
import types

import pytest

from compress import contracts, registry

KINDS = [
    (registry.STEPS, contracts.step, contracts.Step),
    (registry.DATA_SETS, contracts.data_set, contracts.DataSet),
    (registry.INPUTS, contracts.input_pipeline, contracts.Input),
]


def lacking(module, contract) -> list[str]:
    """What a module has otherwise than its contract asks, in words."""
    problems = []
    for base in contract.__mro__:
        for name in getattr(base, "__annotations__", {}):
            if base.__module__ == contracts.__name__ and not hasattr(module, name):
                problems.append(f"no {name}")
    for name, function in inspect.getmembers(contract, inspect.isfunction):
        if name.startswith("_"):
            continue
        offered = getattr(module, name, None)
        if not callable(offered):
            problems.append(f"no {name}()")
            continue
        wanted = list(inspect.signature(function).parameters.values())[1:]  # a module has no self
        present = list(inspect.signature(offered).parameters.values())
        if [entry.name for entry in wanted] != [entry.name for entry in present]:
            problems.append(f"{name}{inspect.signature(offered)}")
        elif [entry.default for entry in wanted] != [entry.default for entry in present]:
            problems.append(f"{name}: other defaults")
    return problems


@pytest.mark.parametrize(
    "load, contract, name",
    [(load, contract, name) for table, load, contract in KINDS for name in table.names()],
)
def test_every_module_keeps_its_contract(load, contract, name):
    module = load(name)
    assert lacking(module, contract) == []
    assert dataclasses.is_dataclass(module.Config) and module.Config.__dataclass_params__.frozen


def test_every_data_set_names_an_input_and_keys_that_it_has():
    for name in registry.DATA_SETS.names():
        module = contracts.data_set(name)
        config = contracts.input_pipeline(module.INPUT).Config
        keys = {field.name for field in dataclasses.fields(config)}
        assert set(getattr(module, "INPUT_DEFAULTS", {})) <= keys


def test_a_module_that_breaks_a_contract_would_be_found():
    assert lacking(types.ModuleType("empty"), contracts.Step) == [
        "no Config",
        "no apply()",
        "no spec_after()",
        "no title()",
    ]
    other = types.SimpleNamespace(Config=dict, build=lambda config, data: None)
    assert lacking(other, contracts.Input) == ["build(config, data)"]
