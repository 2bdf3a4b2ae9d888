"""What a public function takes is written where it stands; and examples in docstrings are true."""

import doctest
import importlib
import inspect
import re

import pytest

DOCUMENTED = [  # what others build on, by module
    "nst.api",
    "nst.kernels",
    "nst.kernels.numpy_kernels",
    "nst.losses",
    "nst.memory",
    "nst.objective.content",
    "nst.objective.objective",
    "nst.objective.smoothness",
    "nst.objective.style",
    "nst.optimizers.first_order",
    "nst.optimizers.lbfgs",
    "nst.optimizers.optimizer",
    "nst.pictures.colour",
    "nst.pictures.held",
    "nst.pictures.images",
    "nst.run.scales",
    "nst.values",
    "nst.vgg.runtime",
]
EXAMPLES = [
    "nst.api",
    "nst.kernels.numpy_kernels",
    "nst.memory",
    "nst.pictures.images",
    "nst.run.scales",
]
MANY = 3  # parameters: fewer are named in the sentence that says what comes back


def functions(module):
    """Yield the public functions of a module, and its classes where these take arguments."""
    for name, member in vars(module).items():
        if name.startswith("_") or getattr(member, "__module__", "") != module.__name__:
            continue
        if inspect.isfunction(member):
            yield name, member, inspect.signature(member).parameters
        elif inspect.isclass(member) and "__init__" in vars(member):
            if not hasattr(member, "__dataclass_fields__"):  # whose fields say what they are
                yield name, member, inspect.signature(member).parameters


def section(docstring):
    """Return the names that a docstring's Parameters have."""
    found = re.search(r"^Parameters\n-{10}\n(.*?)(?=^\S[^\n]*\n-{3,}$|\Z)", docstring, re.M | re.S)
    lines = found[1].splitlines() if found else []
    heads = [line.split(" : ")[0] for line in lines if line and not line.startswith(" ")]
    return {name for head in heads for name in head.split(", ")}


def cases():
    for module in map(importlib.import_module, DOCUMENTED):
        for name, function, parameters in functions(module):
            yield pytest.param(module, function, set(parameters), id=f"{module.__name__}.{name}")


@pytest.mark.parametrize(("module", "function", "parameters"), list(cases()))
def test_what_a_function_takes_is_written_where_it_stands(module, function, parameters):
    docstring = inspect.getdoc(function) or ""
    names = section(docstring)
    assert names <= parameters, "it takes no such parameter"
    if names:
        assert names == parameters
        return
    forward = getattr(module, function.__name__.removesuffix("_backward"), function)
    if forward is not function:  # takes what the forward did; the contract says what else
        parameters = set(inspect.signature(forward).parameters)
        assert section(inspect.getdoc(forward)) in (parameters, set())
        return
    assert len(parameters) < MANY, f"write Parameters for {sorted(parameters)}"


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_in_docstrings_are_true(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried
    assert not failed
