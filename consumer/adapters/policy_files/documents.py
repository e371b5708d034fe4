"""From the text of a file to the resources in it, each knowing the line of every field."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

from consumer.adapters.policy_files.bounds import check_bounds
from consumer.elastiservice import KIND, FieldPath
from consumer.ports import Problem

_TIMESTAMP = "tag:yaml.org,2002:timestamp"


@dataclass(frozen=True, slots=True)
class Document:
    """One ElastiService of a file."""

    file: str
    content: Mapping[str, object]
    _node: yaml.Node
    _above: FieldPath = ()

    def locate(self, path: FieldPath) -> str:
        """Return `file:line` of a field; of the nearest thing around it when it is missing."""
        node, line = self._node, self._node.start_mark.line
        for step in (*self._above, *path):
            found = _inside(node, step)
            if found is None:
                break
            line, node = found
        return f"{self.file}:{line + 1}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file holds: its ElastiServices, and a notice for everything else in it."""

    documents: tuple[Document, ...] = ()
    notices: tuple[str, ...] = ()


def read(file: str, text: str) -> Reading | Problem:
    """Read all documents of one file; a file that is not YAML is one problem, with its line."""
    try:
        check_bounds(text)
        found = tuple(_documents(file, text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}" if mark else file
        return Problem(where, "", f"is not valid YAML: {error.problem or error.context}; correct this line")
    except (yaml.YAMLError, ValueError, LookupError, RecursionError) as error:
        # Not only its own errors: a value that its tag forbids, or a nesting without end, comes as Python's.
        return Problem(file, "", f"is not valid YAML: {error}; correct it")
    return Reading(
        tuple(document for document in found if document.content.get("kind") == KIND),
        tuple(_notice(document) for document in found if document.content.get("kind") != KIND),
    )


def _documents(file: str, text: str) -> Iterator[Document]:
    loader = _Loader(text)
    try:
        while (node := loader.get_node() if loader.check_node() else None) is not None:
            content: object = loader.construct_document(node)
            yield from _unpacked(Document(file, _object(content), node)) if content is not None else ()
    finally:
        loader.dispose()


def _unpacked(document: Document) -> Iterator[Document]:
    """Yield the items of a `List`, or the document itself."""
    items = document.content.get("items")
    if not str(document.content.get("kind")).endswith("List") or not isinstance(items, list):
        yield document
        return
    for index, item in enumerate(items):
        yield Document(document.file, _object(item), document._node, ("items", index))  # noqa: SLF001 - its own kind


def _object(content: object) -> Mapping[str, object]:
    return content if isinstance(content, dict) else {}


def _notice(document: Document) -> str:
    kind = document.content.get("kind")
    what = f"a {kind}" if kind else "no resource (it has no kind)"
    return f"{document.locate(())}: {what}, not an {KIND}; ignored"


def _inside(node: yaml.Node, step: str | int) -> tuple[int, yaml.Node] | None:
    """Return the line of a field or an item, and its node."""
    if isinstance(node, yaml.MappingNode):
        pairs: Sequence[tuple[yaml.Node, yaml.Node]] = node.value
        return next(((key.start_mark.line, value) for key, value in pairs if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item: yaml.Node = node.value[step]
        return item.start_mark.line, item
    return None


class _Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: names are text, times stay text, no name twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the library's own form
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, object]:
    written = [key.value for key, _ in node.value]
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a name must be text", key.start_mark)
        if written.count(key.value) > 1:
            again = f'"{key.value}" is written twice here'
            raise yaml.constructor.ConstructorError(None, None, again, key.start_mark)
    loader.flatten_mapping(node)
    return {key.value: loader.construct_object(value, deep=True) for key, value in node.value}


def _text(loader: _Loader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor(_TIMESTAMP, _text)
