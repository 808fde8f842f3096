"""Where the configuration comes from: one TOML file, the environment over it, options over both.

Every value keeps where it was given, so that a mistake is told with its place and `config` can say
why a number is what it is. What may be given is in `config.py`.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from pydantic import ValidationError

from target_trader.config import Config, Section, masked
from target_trader.errors import TraderError

PREFIX = "TARGET_TRADER_"
SECTIONS: Mapping[str, type[Section]] = {
    name: type(section) for name, section in Config() if isinstance(section, Section)
}
# Short names that are in use elsewhere; every key has a long one, TARGET_TRADER_BROKER_PORT.
SHORT_VARIABLES = {
    "REDIS_URL": ("state", "redis_url"),
    f"{PREFIX}LIBRARY": ("broker", "library"),
}
CONFIG_VARIABLE = f"{PREFIX}CONFIG"


@dataclass(frozen=True, slots=True)
class Given:
    """A value that somebody gave, and where."""

    section: str
    key: str
    value: object
    origin: str

    def words(self, complaint: str) -> str:
        """Tell what is wrong with it, in one line."""
        shown = masked(self.value) if self.key.endswith("_url") else self.value
        return f"{self.origin}: [{self.section}] {self.key} = {shown}: {complaint}"


@dataclass(frozen=True, slots=True)
class Settled:
    """The configuration in force, and what of it was given where; the rest is default."""

    config: Config
    given: Mapping[tuple[str, str], Given]


def settle(
    path: Path | None, environment: Mapping[str, str], options: Iterable[Given] = ()
) -> Settled:
    """Put the configuration together and check it.

    Args:
        path: the TOML file, if any.
        environment: the environment variables of the process.
        options: what the command line says; wins over the environment, which wins over the file.

    Raises:
        TraderError: one line for each mistake, with place, key, value and what is expected.
    """
    everything = [*(from_file(path) if path else ()), *from_environment(environment), *options]
    unknown = [each.words(complaint) for each in everything if (complaint := strange(each))]
    given = {(each.section, each.key): each for each in everything}
    tree: dict[str, dict[str, object]] = {}
    for (section, key), each in given.items():
        if not strange(each):
            tree.setdefault(section, {})[key] = each.value
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        raise TraderError("\n".join([*unknown, *complaints(error, given)])) from error
    if unknown:
        raise TraderError("\n".join(unknown))
    return Settled(config, given)


def strange(given: Given) -> str:
    """Say what is known instead of a section or key that is not; empty when it is."""
    section = SECTIONS.get(given.section)
    if section is None:
        return f"unknown section; known are {', '.join(SECTIONS)}"
    if given.key not in section.model_fields:
        return f"unknown key; known are {', '.join(section.model_fields)}"
    return ""


def complaints(error: ValidationError, given: Mapping[tuple[str, str], Given]) -> list[str]:
    """Write each error as one line that begins with the place of the value."""
    lines = []
    for each in error.errors():
        section, *rest = (str(part) for part in each["loc"])
        words = each["msg"].removeprefix("Value error, ")
        named = given.get((section, rest[0])) if rest else None
        if named is not None:
            lines.append(named.words(words))
        else:
            places = [one.origin for (name, _), one in given.items() if name == section]
            lines.append(f"{', '.join(dict.fromkeys(places))}: [{section}]: {words}")
    return lines


def from_file(path: Path) -> list[Given]:
    """Read the values of a TOML file.

    Raises:
        TraderError: it cannot be read, is no TOML, or has something outside of the sections.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError) as error:
        raise TraderError(f"configuration {path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise TraderError(f"configuration {path} is no TOML: {error}") from error
    values = []
    for section, table in tree.items():
        if not isinstance(table, dict):
            known = ", ".join(f"[{name}]" for name in SECTIONS)
            raise TraderError(
                f"{path}: {section} = {table} stands outside of a section; sections are {known}"
            )
        if section not in SECTIONS and not table:
            values.append(Given(section, "", "", str(path)))
        values += [Given(section, key, value, str(path)) for key, value in table.items()]
    return values


def from_environment(environment: Mapping[str, str]) -> list[Given]:
    """Read the values of the environment variables.

    Raises:
        TraderError: a variable with our prefix is none of ours: probably misspelt.
    """
    known = SHORT_VARIABLES | {
        f"{PREFIX}{section}_{key}".upper(): (section, key)
        for section, model in SECTIONS.items()
        for key in model.model_fields
    }
    values = []
    for name in sorted(environment):
        if name in known and environment[name]:
            section, key = known[name]
            value = typed(environment[name], SECTIONS[section].model_fields[key].annotation)
            values.append(Given(section, key, value, f"environment variable {name}"))
        elif name.startswith(PREFIX) and name not in {*known, CONFIG_VARIABLE}:
            raise TraderError(
                f"environment variable {name}: unknown; the form is {PREFIX}SECTION_KEY, "
                f"{PREFIX}BROKER_PORT for example, and 'config' lists sections and keys"
            )
    return values


def typed(text: str, kind: object) -> object:
    """Read a text as what its field wants; a text that is not that stays one, and is refused."""
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return int(text) if kind is int else Decimal(text) if kind is Decimal else text
    except (ArithmeticError, ValueError):
        return text


def toml_of(settled: Settled) -> str:
    """Write the configuration in force as TOML, with where each value was given."""
    lines: list[str] = []
    for name, section in settled.config:
        lines += ["", f"[{name}]"] if lines else [f"[{name}]"]
        for key, value in section:
            given = settled.given.get((name, key))
            origin = given.origin if given is not None else "default"
            if value is None:
                lines.append(f"# {key} is not set")
            else:
                shown = masked(value) if key.endswith("_url") else value
                lines.append(f"{key} = {toml_value(shown)}  # {origin}")
    return "\n".join(lines)


def toml_value(value: object) -> str:
    """Write one value as TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            return f"{value:f}"
        case tuple():
            return f"[{', '.join(toml_value(each) for each in value)}]"
        case _:
            quoted = str(value).replace("\\", "\\\\").replace('"', '\\"')
            return f'"{quoted}"'
