"""What is said of an extra that is not installed can be typed as it stands."""

import shlex
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from nst.extras import installing

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("extra", ["cpu", "cuda", "heic", "cluster", "studio", "video"])
def test_it_installs_just_what_the_extra_names_for_this_python(extra):
    python, *words = shlex.split(installing(extra))
    assert (python, words[:3]) == (sys.executable, ["-m", "pip", "install"])
    named = [Requirement(text) for text in PROJECT["optional-dependencies"][extra]]
    assert sorted(map(Requirement, words[3:]), key=str) == sorted(named, key=str)


def test_of_the_sources_alone_it_is_their_folder(monkeypatch):
    def none(_):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "requires", none)
    assert installing("studio").endswith(" -m pip install '.[studio]'")
