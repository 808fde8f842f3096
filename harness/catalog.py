"""Finds the scenarios in a folder: every `Scenario` at the top of a file test_*.py.

They are Python files of the user, so importing one may fail in any way; that is the user's to
mend and is said with the file's name.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from harness.errors import UserError
from harness.scenario import Scenario

DEFAULT_FOLDER = Path("scenarios")


def load_catalog(folder: Path) -> dict[str, Scenario]:
    """The scenarios of a folder by name, in the order of their files.

    Raises:
        UserError: there is no such folder, a file cannot be imported, it holds no scenario at
            all, or two scenarios have the same name.
    """
    if not folder.is_dir():
        raise UserError(
            f"there is no folder {folder} with scenarios; name one with --scenarios DIR"
        )
    place = str(folder.resolve().parent)
    if place not in sys.path:
        sys.path.insert(0, place)
    found: dict[str, Scenario] = {}
    for path in sorted(folder.glob("test_*.py")):
        for scenario in scenarios_of(import_file(path)):
            other = found.setdefault(scenario.name, scenario)
            if other is not scenario:
                raise UserError(f"{path}: there is another scenario named {scenario.name!r}")
    if not found:
        raise UserError(f"the folder {folder} holds no scenario: no file test_*.py defines one")
    return found


def find_scenario(folder: Path, name: str) -> Scenario:
    """One scenario by its name.

    Raises:
        UserError: there is none of that name; the message lists those that exist.
    """
    catalog = load_catalog(folder)
    if name not in catalog:
        raise UserError(
            f"unknown scenario {name!r}; in {folder} there are: {', '.join(sorted(catalog))}"
        )
    return catalog[name]


def import_file(path: Path) -> ModuleType:
    """Import one file, in a package by its dotted name.

    So a file that another one imports is the same module, and its scenario one scenario.

    Raises:
        UserError: it cannot be imported.
    """
    in_package = (path.parent / "__init__.py").is_file()
    package = path.resolve().parent.name if in_package else "crashgate_scenarios"
    name = f"{package}.{path.stem}"
    known = sys.modules.get(name)
    if known is not None and Path(known.__file__ or "").resolve() == path.resolve():
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "a path that ends in .py has a spec"
    assert spec.loader is not None, "a path that ends in .py has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(f"cannot import {path}: {type(error).__name__}: {error}") from error
    return module


def scenarios_of(module: ModuleType) -> list[Scenario]:
    """The scenarios at the top of a module, in the order of their definition."""
    return [value for value in vars(module).values() if isinstance(value, Scenario)]
