"""SavedModels whose bytes depend on what they hold, not on what the process did before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tensorflow.core.protobuf import saved_model_pb2

_GRAPH_FILE = "saved_model.pb"
# Of TensorFlow's, for its own counts of models: has a random number, and hashes of the file as it
# was before. Models load without it, as those of TensorFlow before 2.12 do.
_FINGERPRINT_FILE = "fingerprint.pb"
# TensorFlow ends names of functions with the number of things the process has made so far.
_COUNTER = re.compile(r"_\d+$")
_MADE_BY_A_CALL = "__inference_"
_ARGUMENT = "_user_specified_name"
_GRADIENT = "_gradient_op_type"
_GRADIENT_COUNTER = re.compile(r"-\d+$")


def make_canonical(directory: Path) -> None:
    """Rewrites a SavedModel just saved: the same model has the same bytes, in any process.

    Functions are numbered, and ordered, as they are reached from the graph and from the objects.

    Args:
      directory: of the SavedModel; no other program sees it yet.

    Raises:
      OSError: it can't be read or written.
    """
    path = directory / _GRAPH_FILE
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for graph in model.meta_graphs:
        _renumber(graph)
    path.write_bytes(model.SerializeToString(deterministic=True))
    (directory / _FINGERPRINT_FILE).unlink(missing_ok=True)


def _renumber(meta_graph: Any) -> None:
    library = meta_graph.graph_def.library
    functions = {function.signature.name: function for function in library.function}
    order = _reached(meta_graph, functions)
    new_names = {name: f"{_COUNTER.sub('', name)}_{n}" for n, name in enumerate(order)}
    _rename_gradients(meta_graph, [functions[name] for name in order], new_names)
    _rename_nodes(meta_graph.graph_def.node, new_names)
    for name in order:
        functions[name].signature.name = new_names[name]
        _name_arguments(functions[name])
        _rename_nodes(functions[name].node_def, new_names)
        _rename_attributes(functions[name].attr, new_names)
    for gradient in library.gradient:
        gradient.function_name = _renamed(gradient.function_name, new_names)
        gradient.gradient_func = _renamed(gradient.gradient_func, new_names)
    _rename_objects(meta_graph.object_graph_def, new_names)
    ordered = [functions[name] for name in order]
    copies = [type(function).FromString(function.SerializeToString()) for function in ordered]
    del library.function[:]
    library.function.extend(copies)


def _reached(meta_graph: Any, functions: Mapping[str, Any]) -> list[str]:
    """Names of all functions, in an order that doesn't depend on their names' numbers."""
    order: dict[str, None] = {}
    # Nothing reaches these: by the order in which they were made.
    rest = sorted(functions, key=lambda name: (_COUNTER.sub("", name), len(name), name))
    waiting = [
        *reversed(rest),
        *reversed([*_called(meta_graph.graph_def.node), *_of_objects(meta_graph)]),
    ]
    while waiting:
        name = waiting.pop()
        if name in functions and name not in order:
            order[name] = None
            waiting.extend(reversed(list(_called(functions[name].node_def))))
    return list(order)


def _called(nodes: Any) -> Iterator[str]:
    for node in nodes:
        yield node.op
        for _, value in sorted(node.attr.items()):
            if value.HasField("func"):
                yield value.func.name
            for function in value.list.func:
                yield function.name


def _of_objects(meta_graph: Any) -> Iterator[str]:
    for node in meta_graph.object_graph_def.nodes:
        yield from node.function.concrete_functions
        yield node.bare_concrete_function.concrete_function_name


def _renamed(name: str, new_names: Mapping[str, str]) -> str:
    return new_names.get(name, name)


def _rename_nodes(nodes: Any, new_names: Mapping[str, str]) -> None:
    for node in nodes:
        if node.op in new_names:
            node.op = new_names[node.op]
        _rename_attributes(node.attr, new_names)


def _rename_attributes(attributes: Any, new_names: Mapping[str, str]) -> None:
    for value in attributes.values():
        kind = value.WhichOneof("value")
        if kind == "func":
            value.func.name = _renamed(value.func.name, new_names)
        elif kind == "list":
            for function in value.list.func:
                function.name = _renamed(function.name, new_names)
        elif kind == "s" and value.s.decode(errors="replace") in new_names:
            # A function's forward or backward pass, by name.
            value.s = new_names[value.s.decode()].encode()


def _name_arguments(function: Any) -> None:
    """Names arguments and results by position where TensorFlow names them by numbers of tensors."""
    for position, about in function.arg_attr.items():
        # Of what is captured; others have the name in Python.
        if _ARGUMENT in about.attr and about.attr[_ARGUMENT].s.isdigit():
            about.attr[_ARGUMENT].s = b"%d" % position
    if function.signature.name.startswith(_MADE_BY_A_CALL):
        return
    # A branch or the body of a loop, whose arguments only TensorFlow gives, by position.
    taken = {node.name for node in function.node_def}
    prefix = "argument"
    while any(name.startswith(f"{prefix}_") for name in taken):
        prefix += "_"
    inputs = {arg.name: f"{prefix}_{n}" for n, arg in enumerate(function.signature.input_arg)}
    for arg in function.signature.input_arg:
        arg.name = inputs[arg.name]
    for node in function.node_def:
        node.input[:] = [_renamed(name, inputs) for name in node.input]
    results = [_renamed(function.ret[arg.name], inputs) for arg in function.signature.output_arg]
    function.ret.clear()
    for position, (arg, result) in enumerate(
        zip(function.signature.output_arg, results, strict=True)
    ):
        arg.name = f"result_{position}"
        function.ret[arg.name] = result


def _rename_objects(objects: Any, new_names: Mapping[str, str]) -> None:
    for node in objects.nodes:
        if node.HasField("function"):
            names = [_renamed(name, new_names) for name in node.function.concrete_functions]
            node.function.concrete_functions[:] = names
        elif node.HasField("bare_concrete_function"):
            bare = node.bare_concrete_function
            bare.concrete_function_name = _renamed(bare.concrete_function_name, new_names)
    described = {
        name: value.SerializeToString() for name, value in objects.concrete_functions.items()
    }
    objects.concrete_functions.clear()
    for name, value in described.items():
        objects.concrete_functions[_renamed(name, new_names)].ParseFromString(value)


def _rename_gradients(
    meta_graph: Any, functions: list[Any], functions_new: Mapping[str, str]
) -> None:
    """Numbers the gradients that calls name, which have counters of their own."""
    nodes = [meta_graph.graph_def.node, *(function.node_def for function in functions)]
    values = [node.attr[_GRADIENT] for some in nodes for node in some if _GRADIENT in node.attr]
    new_names: dict[bytes, bytes] = {}
    for value in values:
        base = _GRADIENT_COUNTER.sub("", value.s.decode())
        # "PartitionedCall" alone is an operation's own gradient.
        if base != value.s.decode():
            new_names.setdefault(value.s, f"{base}-{len(new_names)}".encode())
        value.s = new_names.get(value.s, value.s)
    for gradient in meta_graph.graph_def.library.registered_gradients:
        name = gradient.registered_op_type.encode()
        gradient.registered_op_type = new_names.get(name, name).decode()
        gradient.gradient_func = _renamed(gradient.gradient_func, functions_new)
