"""The graph of a Functional model, which Keras keeps to itself: found, cut and run in parts."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras.src.models.functional import Functional  # what Keras makes of a `keras.Model`

from keras_transformer.checks import refusal, require


class Graph:
    """The graph of a Functional or Sequential model, models inside that have the layer `name` too.

    A symbol is what a layer puts out in one of its calls: the calls of the models that it is in,
    from the outermost on, and a `KerasTensor`.

    Args:
        model: `keras.Model`.
        name: str, name of the layer that the graph is searched for.

    Attributes:
        inputs, output: the symbols of what goes in, and, nested as of the model, of what comes out.

    Raises:
        ValueError: of a model whose graph is unknown, and where several symbols have the name.

    Example:

    >>> inputs = keras.Input((2,))
    >>> half = keras.layers.Dense(2, name="half")(inputs)
    >>> graph = Graph(keras.Model(inputs, keras.layers.Softmax()(half)), "half")
    >>> first, second = graph.part(graph.named), graph.part(graph.output, graph.named)
    >>> x = keras.ops.ones((1, 2))
    >>> half = first({graph.inputs[0]: x})
    >>> round(float(keras.ops.sum(second({graph.named: half}))), 3)
    1.0
    """

    def __init__(self, model: keras.Model, name: str) -> None:
        self.name = name
        self.model = functional(model)
        if self.model is None:
            raise refusal(
                "a model whose layers are known: a Functional one, or a Sequential one that begins "
                "with keras.Input. A subclass of keras.Model becomes one by "
                "keras.Model(inputs, outputs)",
                f"model={model.name} of type {type(model).__name__}",
            )
        self.inputs = [Symbol((), x) for x in self.model.inputs]
        self.output = keras.tree.map_structure(
            lambda x: self._within(Symbol((), x)), self.model.output
        )
        found = {self._within(symbol) for symbol in self._find(self.model, ())}
        found -= set(self.inputs)
        require(len(found) < 2, f"one layer named {name!r}, called once", calls=len(found))
        self.named = found.pop() if found else None

    def part(self, output: Symbol, *given: Symbol) -> Subgraph:
        """What computes the symbol `output` from the inputs and the symbols `given`."""
        return Subgraph(self, output, given)

    def arguments(self, symbol: Symbol) -> tuple:
        """The node that computes `symbol`, and the symbols that it asks for, by their ids."""
        node = _node(symbol.tensor)
        return node, {id(x): self._within(Symbol(symbol.calls, x)) for x in node.input_tensors}

    def _within(self, symbol):
        """The symbol where it is computed: outside a model that is given it, inside of others."""
        while True:
            calls, x = symbol.calls, symbol.tensor
            if calls and _node(x).is_input:
                index = [id(y) for y in functional(calls[-1].operation).inputs].index(id(x))
                symbol = Symbol(calls[:-1], _given(calls[-1])[index])
                continue
            node = _node(x)
            inner = None if node.operation.name == self.name else functional(node.operation)
            if inner is None or not any(True for _ in self._find(inner, ())):
                return symbol
            index = [id(y) for y in node.outputs].index(id(x))
            symbol = Symbol((*calls, node), inner.outputs[index])

    def _find(self, model, calls):
        for nodes in model._nodes_by_depth.values():
            for node in nodes:
                if node.operation.name == self.name:
                    yield Symbol(calls, node.outputs[0])
                elif (inner := functional(node.operation)) is not None:
                    yield from self._find(inner, (*calls, node))


class Symbol:
    """What a layer puts out in one of its calls; equal to others of the same call."""

    def __init__(self, calls: tuple, tensor: keras.KerasTensor) -> None:
        self.calls = calls
        self.tensor = tensor
        self._key = *map(id, calls), id(tensor)

    def __eq__(self, other):
        return isinstance(other, Symbol) and self._key == other._key

    def __hash__(self):
        return hash(self._key)


class Subgraph:
    """A function from some symbols of a graph to another one, which runs what it needs only.

    Call arguments:
        values: dict from symbols to tensors, of `inputs` and of what the part was given.

    Attributes:
        inputs: the symbols of the model's inputs that it needs.
        operations: what runs, in order.
    """

    def __init__(self, graph: Graph, output: Symbol, given: Sequence[Symbol]) -> None:
        self.output, self.inputs, self._steps = output, [], []
        done, stack = set(given), [output]
        while stack:
            symbol = stack[-1]
            if symbol in done:
                stack.pop()
                continue
            if symbol in graph.inputs:
                self.inputs.append(symbol)
                done.add(symbol)
                continue
            node, arguments = graph.arguments(symbol)
            if missing := [x for x in arguments.values() if x not in done]:
                stack.extend(missing)
                continue
            results = [Symbol(symbol.calls, x) for x in node.outputs]
            self._steps.append((node, arguments, results))
            done.update(results)
        self.operations = [node.operation for node, _, _ in self._steps]

    def __call__(self, values):
        values = dict(values)
        for node, arguments, symbols in self._steps:
            args, kwargs = node.arguments.fill_in({i: values[x] for i, x in arguments.items()})
            results = keras.tree.flatten(node.operation(*args, **kwargs))
            values.update(zip(symbols, results, strict=True))
        return values[self.output]


def functional(model: keras.Operation) -> Functional | None:
    """The Functional model that `model` is, or that a Sequential one has inside, or None."""
    if isinstance(model, keras.Sequential):
        model = model._functional
    known = isinstance(model, Functional) and type(model).call is Functional.call
    return model if known else None


def _node(tensor):
    operation, node_index, _ = tensor._keras_history
    return operation._inbound_nodes[node_index]


def _given(node):
    """What a model was called with, a tensor for each of its inputs."""
    model, arguments = functional(node.operation), node.arguments
    inputs = arguments.args[0] if arguments.args else arguments.kwargs["inputs"]
    if isinstance(inputs, dict) and not isinstance(model.input, dict):
        return [inputs[x.name] for x in model.inputs]
    return keras.tree.flatten(inputs)


def call_arguments(operation: keras.Operation) -> tuple:
    """What an operation of a graph was called with by position, the first time."""
    return operation._inbound_nodes[0].arguments.args
