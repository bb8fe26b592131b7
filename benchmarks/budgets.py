"""Measures the code that a forward pass takes: `python benchmarks/budgets.py`.

Code lines are without blanks, comments, docstrings and imports. A family's model is built and
called once on ids, and the functions of the package that run are counted, over all files: those of
the call (the computation), with those of `models/` that wire it, and with all that make layers and
weights. Plain forms of `backend/` are counted as if they ran, and the fast forms that ran in their
place are told apart. The last columns are the files that any of these are in, and all their lines.
"""

import ast
import collections
import inspect
import io
import pathlib
import sys
import tokenize

import keras
import numpy as np

import keras_transformer as kt

PACKAGE = pathlib.Path(kt.__file__).parent
RECIPES = PACKAGE.parent / "recipes"
SIZES = {
    "vocabulary_size": 9,
    "num_layers": 1,
    "num_heads": 2,
    "hidden_dim": 8,
    "intermediate_dim": 16,
    "max_sequence_length": 16,
}
GPT2 = {"position": "learned", "activation": "gelu_tanh", "normalize_first": True, "pad_id": None}
LLAMA = {
    "position": "rotary",
    "norm": "rms_norm",
    "activation": "silu",
    "gated": True,
    "normalize_first": True,
    "use_bias": False,
    "num_key_value_heads": 1,
    "pad_id": None,
}
BERT = {"position": "learned", "activation": "gelu", "num_segments": 2, "embedding_norm": True}
FAMILIES = {
    "Transformer (encoder-decoder)": (kt.models.encoder_decoder, {}),
    "GPT-2 (decoder-only)": (kt.models.decoder_only, GPT2),
    "Llama (decoder-only)": (kt.models.decoder_only, LLAMA),
    "BERT (encoder-only)": (kt.models.encoder_only, BERT),
}


class Code:
    """The code lines of a file, and its functions."""

    def __init__(self, path):
        source = path.read_text()
        self.tree = ast.parse(source)
        lines = set()
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING):
                lines |= set(range(token.start[0], token.end[0] + 1))
        for node in ast.walk(self.tree):
            is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if is_text or isinstance(node, ast.Import | ast.ImportFrom):
                lines -= set(range(node.lineno, node.end_lineno + 1))
        self.lines = lines

    def of(self, node):
        """The code lines of a part of the file."""
        return self.lines & set(range(self._begins(node), node.end_lineno + 1))

    def function_at(self, line):
        """The function that begins at the line, and whether it is a fast form of an operation."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.Lambda) and self._begins(node) == line:
                decorators = getattr(node, "decorator_list", ())
                return node, any(".on(" in ast.unparse(x) for x in decorators)
        return None, False

    def _begins(self, node):
        return min([node.lineno, *(x.lineno for x in getattr(node, "decorator_list", ()))])

    def operation_of(self, form):
        """The plain form beside a fast one."""
        name = next(ast.unparse(x) for x in form.decorator_list if ".on(" in ast.unparse(x))
        name = name.partition(".")[0]
        return next(x for x in self.tree.body if getattr(x, "name", "") == name)


CODES = collections.defaultdict(dict)


def code(path):
    if path not in CODES:
        CODES[path] = Code(path)
    return CODES[path]


def running(function):
    """The package's functions that run in `function()`: a set of `(path, line of its def)`."""
    found = set()

    def watch(frame, event, argument):
        path = pathlib.Path(frame.f_code.co_filename)
        if event == "call" and PACKAGE in path.parents:
            found.add((path, frame.f_code.co_firstlineno))

    sys.setprofile(watch)
    try:
        result = function()
    finally:
        sys.setprofile(None)
    return result, found


def lines_of(calls):
    """`(lines of functions, lines of fast forms, files)` of what ran."""
    plain, fast = collections.defaultdict(set), collections.defaultdict(set)
    for path, line in calls:
        node, is_fast = code(path).function_at(line)
        if node is None:  # a comprehension or a class body
            continue
        if is_fast:
            fast[path] |= code(path).of(node)
            node = code(path).operation_of(node)
        plain[path] |= code(path).of(node)
    for path in fast:  # a function within a fast form is a part of it
        plain[path] -= fast[path]
    return sum(map(len, plain.values())), sum(map(len, fast.values())), set(plain)


def measure(build, changes):
    config = kt.TransformerConfig(**SIZES, **changes)
    model, building = running(lambda: build(config))
    ids = [np.array([[1, 1, 1, 0]])] * len(model.inputs)
    _, calling = running(lambda: model(ids if len(ids) > 1 else ids[0]))
    calling = {x for x in calling if x[0].name != "model.py"}
    wiring = {x for x in building if x[0].parent.name == "models"}
    computing, fast, _ = lines_of(calling)
    forward, _, _ = lines_of(calling | wiring)
    everything, _, files = lines_of({x for x in building | calling if x[0].name != "config.py"})
    whole = sum(len(code(path).lines) for path in files)
    return computing, fast, forward, everything, len(files), whole


def layers():
    """`(layer's name, code lines, those of its longest method but __init__, arguments)`."""
    for name in sorted(kt.layers.__all__):
        layer = getattr(kt.layers, name)
        for cls in layer.__mro__:
            if not cls.__module__.startswith("keras_transformer.layers"):
                continue
            path = pathlib.Path(inspect.getsourcefile(cls))
            [node] = [
                x
                for x in code(path).tree.body
                if isinstance(x, ast.ClassDef) and x.name == cls.__name__
            ]
            calls = {
                x.name: len(code(path).of(x))
                for x in node.body
                if isinstance(x, ast.FunctionDef) and x.name not in ("__init__", "build")
            }
            longest = max(calls, key=calls.get, default=None)
            parameters = inspect.signature(cls.__init__).parameters
            yield (
                cls.__name__,
                len(code(path).of(node)),
                f"{longest} {calls[longest]}" if longest else "",
                len([x for x in parameters if x not in ("self", "kwargs", "args", "quantized")]),
            )


def questions():
    """Files outside of `backend/` that ask for the backend, or for what Keras keeps private."""
    words = ("keras.src", "tensorflow.python", "_inbound_nodes", ".backend()", "in_xla", "in_vec")
    return [
        path.relative_to(PACKAGE)
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.parent.name != "backend" and any(word in path.read_text() for word in words)
    ]


def main():
    print("| family | computation | fast forms | with wiring | and constructors | files | whole |")
    print("|---|---|---|---|---|---|---|")
    for family, (build, changes) in FAMILIES.items():
        print(f"| {family} | " + " | ".join(map(str, measure(build, changes))) + " |")
    print("\n| layer | code lines | longest method | arguments |\n|---|---|---|---|")
    for row in dict.fromkeys(layers()):
        print("| " + " | ".join(map(str, row)) + " |")
    print("\n| recipe | lines |\n|---|---|")
    for path in sorted(RECIPES.glob("*.py")):
        if "Settings" in path.read_text() and path.name not in ("common.py", "command_line.py"):
            print(f"| {path.name} | {len(path.read_text().splitlines())} |")
    print(f"\nFiles outside backend/ that ask which it is: {list(map(str, questions())) or 'none'}")
    print(f"Keras {keras.__version__} on {keras.config.backend()}")


if __name__ == "__main__":
    main()
