"""What CI installs: one version of everything that pyproject.toml asks for, in its range."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
INSTALLED = (
    "cpu",
    "heic",
    "studio",
    "cluster",
    "test",
    "dev",
    "train",
    "benchmark",
)  # not cuda: it excludes cpu
ASKED = [
    Requirement(text)
    for texts in (
        PROJECT["dependencies"],
        *(PROJECT["optional-dependencies"][extra] for extra in INSTALLED),
    )
    for text in texts
    if not text.startswith("nst[")
]


def pinned():
    """{name: [version, ...]}, more than one where Pythons differ."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            requirement = Requirement(line)
            (one,) = requirement.specifier
            assert one.operator == "=="
            found.setdefault(canonicalize_name(requirement.name), []).append(one.version)
    return found


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_ci_pins_what_the_project_asks_for(asked):
    versions = pinned().get(canonicalize_name(asked.name), [])
    assert versions, "run .ci/renew"
    for version in versions:
        assert version in asked.specifier, "run .ci/renew"
