"""From text to nodes that know their positions, over PyYAML's events.

Events, not PyYAML's own composer: nothing is constructed, aliases are not followed, and depth and size are bounded
while reading, so hostile input costs no more than honest input of the same size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from capsule_builder.manifest.problems import START, Position, Report
from capsule_builder.manifest.syntax_errors import report_syntax_error

MAX_DEPTH = 32
"""Collections inside collections; a manifest needs five."""

MAX_NODES = 10_000
"""Keys and values in one manifest; real ones have a few dozen."""


class Scalar(NamedTuple):
    """A single value. ``plain`` when it stands without quotes, so that YAML may not take it for text."""

    text: str
    plain: bool
    position: Position
    tag: str | None = None
    anchor: str | None = None


class Sequence:
    """A list."""

    def __init__(self, position: Position, tag: str | None = None, anchor: str | None = None) -> None:
        self.position = position
        self.tag = tag
        self.anchor = anchor
        self.items: list[Node] = []


class Mapping:
    """Keys with values, in the order of the file, duplicates and all. ``complete`` unless reading stopped inside."""

    def __init__(self, position: Position, tag: str | None = None, anchor: str | None = None) -> None:
        self.position = position
        self.tag = tag
        self.anchor = anchor
        self.pairs: list[tuple[Node, Node]] = []
        self.complete = False


class Alias(NamedTuple):
    """A reference ``*name``; never followed."""

    name: str
    position: Position
    anchor: None = None
    tag: None = None


Node = Scalar | Sequence | Mapping | Alias


class _StopReadingError(Exception):
    """A problem was reported after which the rest of the text cannot be understood."""


class _NotYamlError(_StopReadingError):
    """The text stops being YAML."""


def read_document(text: str, report: Report) -> Node | None:
    """The one document of the text.

    Where the text stops being YAML, what stands before it is returned with mappings marked incomplete, so that its
    problems can be reported in the same run. None where there is no document at all.
    """
    tree = _TreeBuilder(report)
    stopped = False
    try:
        for event in _events(text, report):
            tree.add(event)
    except _NotYamlError:
        stopped = True
        tree.drop_doubtful()
    except _StopReadingError:
        stopped = True
    if tree.root is None and not stopped:
        what = "is empty" if not text.strip() else "holds only comments"
        report.error(
            START, "no-content", "", f"the file {what}", "give it at least the keys name, version and entrypoint"
        )
    # Half a list is no hint of what the manifest was to be.
    return None if stopped and not isinstance(tree.root, Mapping) else tree.root


def _events(text: str, report: Report) -> Iterator[Any]:
    import yaml

    loader: Any = yaml.SafeLoader(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    except yaml.MarkedYAMLError as error:
        report_syntax_error(error, text, report)
        raise _NotYamlError from None
    except (ValueError, OverflowError):
        # PyYAML lets chr() and int() fail on "\UFFFFFFFF" and on %YAML directives with thousands of digits.
        message = "not valid YAML: a character number or version number is out of range"
        report.error(_position(loader.get_mark()), "yaml-syntax", "", message, "correct the number")
        raise _NotYamlError from None


class _TreeBuilder:
    """Puts events together into nodes, without recursion."""

    def __init__(self, report: Report) -> None:
        self.root: Node | None = None
        self._report = report
        self._open: list[Sequence | Mapping] = []
        self._keys: list[Node | None] = []
        self._flow: list[bool] = []
        self._documents = 0
        self._nodes = 0

    def add(self, event: Any) -> None:
        """Take one event of PyYAML's parser."""
        name = type(event).__name__
        position = _position(event.start_mark)
        if name == "ScalarEvent":
            self._place(Scalar(event.value, event.style is None, position, event.tag, event.anchor))
        elif name == "AliasEvent":
            self._place(Alias(event.anchor, position))
        elif name == "SequenceStartEvent":
            self._enter(Sequence(position, event.tag, event.anchor), event.flow_style)
        elif name == "MappingStartEvent":
            self._enter(Mapping(position, event.tag, event.anchor), event.flow_style)
        elif name in ("SequenceEndEvent", "MappingEndEvent"):
            self._leave()
        elif name == "DocumentStartEvent":
            self._begin_document(position)

    def drop_doubtful(self) -> None:
        """Drop what a missing bracket may have swallowed: the last child of a collection in brackets that is open."""
        if self._flow and self._flow[-1]:
            node = self._open[-1]
            (node.items if isinstance(node, Sequence) else node.pairs)[-1:] = []

    def _begin_document(self, position: Position) -> None:
        self._documents += 1
        if self._documents > 1:
            message = "a second document begins here, and a manifest is one"
            self._report.error(position, "several-documents", "", message, 'remove this "---" or move what follows')
            raise _StopReadingError

    def _enter(self, node: Sequence | Mapping, flow: bool) -> None:
        if len(self._open) >= MAX_DEPTH:
            message = f"nested more than {MAX_DEPTH} deep"
            self._report.error(node.position, "too-deep", "", message, "flatten it; a manifest needs no such depth")
            raise _StopReadingError
        self._place(node)
        self._open.append(node)
        self._keys.append(None)
        self._flow.append(flow)

    def _leave(self) -> None:
        node = self._open.pop()
        self._keys.pop()
        self._flow.pop()
        if isinstance(node, Mapping):
            node.complete = True

    def _place(self, node: Node) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            message = f"more than {MAX_NODES:,} keys and values"
            self._report.error(node.position, "too-many-nodes", "", message, "move the bulk into a file of the capsule")
            raise _StopReadingError
        if not self._open:
            self.root = node
            return
        parent, key = self._open[-1], self._keys[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif key is None:
            self._keys[-1] = node
        else:
            parent.pairs.append((key, node))
            self._keys[-1] = None


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)
