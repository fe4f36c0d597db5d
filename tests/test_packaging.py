"""pyproject.toml ships every package and every file that is not Python: what it forgets lacks only in the wheel."""

import fnmatch
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
PLACES = {"minigan": ROOT / "minigan", "minigan.kernels": ROOT / "kernels", "minigan.examples": ROOT / "examples"}
NOT_SHIPPED = {"minigan.kernels": ["README.md"], "minigan.examples": ["*.md", "*.jsonl", "pictures/*"]}


def packages() -> dict[str, Path]:
    """Package -> its folder, for every folder that holds an __init__.py, and for folders of data that are listed."""
    table = {}
    for package, place in PLACES.items():
        for folder in [place, *(p for p in place.rglob("*") if p.is_dir())]:
            name = ".".join([package, *folder.relative_to(place).parts])
            if (folder / "__init__.py").exists() or name in SETTINGS["packages"]:
                table[name] = folder
    return table


PACKAGES = packages()


def test_every_package_is_listed():
    absent, extra = sorted(PACKAGES.keys() - SETTINGS["packages"]), sorted(set(SETTINGS["packages"]) - PACKAGES.keys())
    assert not absent, f"{absent} will be missing in the wheel: add to [tool.setuptools] packages in pyproject.toml"
    assert not extra, f"{extra}: no such folders; take them out of [tool.setuptools] packages in pyproject.toml"
    assert {name: ROOT / folder for name, folder in SETTINGS["package-dir"].items()} == PLACES


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_every_file_is_shipped(package):
    """A file that is not Python belongs to the nearest package above it, whose patterns have to name it."""
    folder, folders = PACKAGES[package], set(PACKAGES.values())
    patterns = SETTINGS["package-data"].get(package, []) + NOT_SHIPPED.get(package, [])
    files = [p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")]
    own = [str(p.relative_to(folder)) for p in files if next(a for a in p.parents if a in folders) == folder]
    absent = [name for name in own if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
    assert not absent, (
        f"{absent}: name them in [tool.setuptools.package-data] of pyproject.toml, or in NOT_SHIPPED here"
    )


def test_the_links_of_a_checkout():
    """minigan/kernels and minigan/examples lead to the folders beside the package: editors follow them."""
    for package, place in PLACES.items():
        link = ROOT.joinpath(*package.split("."))
        assert link.resolve() == place.resolve() or not link.is_dir(), f"{link} is a folder of its own"
