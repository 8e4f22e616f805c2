"""YAML as studies need it: every scalar stays the text that was written, and nothing surprising is accepted.

YAML 1.1 reads 1e-4 as a string, `no` as False and 12:30:00 as 45000. Here a scalar becomes a number or a truth value
only where the study's schema asks for one, so the schema decides and not the spelling. Aliases (bombs), duplicate
keys, tags, deep nesting and huge files are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from hpsearch.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 10_000_000  # the study of a run with a table of 10,000 trials is 2 MB
MAX_DEPTH = 32
MAX_NODES = 500_000


class _Loader(yaml.SafeLoader):
    """A SafeLoader whose only resolver is that of null, with limits."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's way of configuring a loader
        first: [(tag, pattern) for tag, pattern in resolvers if tag == "tag:yaml.org,2002:null"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not supported", problem_mark=event.start_mark)
        self._nodes += 1
        self._depth += 1
        if self._depth > MAX_DEPTH or self._nodes > MAX_NODES:
            limit = f"deeper than {MAX_DEPTH} levels" if self._depth > MAX_DEPTH else f"more than {MAX_NODES} values"
            raise yaml.MarkedYAMLError(problem=limit, problem_mark=event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = True) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_PlainLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Twice:
    """Writes what stands twice twice: an alias is more than `parse` reads."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - whatever it is
        return True


class _PlainDumper(_Twice, getattr(yaml, "CSafeDumper", yaml.SafeDumper)):
    """The fast one."""


class _SlowDumper(_Twice, yaml.SafeDumper):
    """Escapes whatever is not ASCII, half characters too."""


def parse(text: str, where: str) -> Any:
    """Dicts, lists, texts and None of a YAML document; ConfigError, naming `where` and the line, if it is refused."""
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{where}: {len(text)} characters; a study has at most {MAX_BYTES}")
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{where}{line}: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{where}: not YAML: {reason[:200]}") from None
    finally:
        if loader is not None:
            loader.dispose()


def read(path: Path) -> Any:
    """`parse` of a file's text; ConfigError if it cannot be read or is not UTF-8."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: {path.stat().st_size} bytes; a study has at most {MAX_BYTES}")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return parse(text, str(path))


def parse_plain(content: bytes, where: str) -> Any:
    """What `dump` wrote, with its numbers and truth values; ConfigError, naming `where`, if it is no YAML."""
    try:
        _check_depth(content)
        return yaml.load(content, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{where}: not YAML: {reason[:200]}") from None


def _check_depth(content: bytes) -> None:
    """Raise ValueError for what `dump` never writes: aliases, and nesting that would overflow the C loader's stack."""
    depth = 0
    for event in yaml.parse(content, Loader=_PlainLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or isinstance(event, yaml.AliasEvent):
            raise ValueError(f"aliases, or deeper than {MAX_DEPTH} levels")


def dump(value: Any) -> str:
    """Plain data as YAML text, keys in their order; numbers are written so that they are read back bit for bit."""
    style = {"sort_keys": False, "width": 120, "default_flow_style": None}
    try:
        text = yaml.dump(value, Dumper=_PlainDumper, allow_unicode=True, **style)
    except UnicodeEncodeError:  # half characters: a file name that is not of the locale's encoding
        return yaml.dump(value, Dumper=_SlowDumper, **style)
    # Unescaped, PyYAML reads these line ends of Unicode as spaces.
    return yaml.dump(value, Dumper=_PlainDumper, **style) if any(c in text for c in "\x85\u2028\u2029") else text
