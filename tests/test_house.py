"""What holds for every file of the package, read from its source."""

import ast
import collections
import importlib.util
import pathlib
import re
import sys

import pytest

import keras_transformer as kt

PACKAGE = pathlib.Path(kt.__file__).parent
ROOT = PACKAGE.parent
FILES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text())
    for folder in (PACKAGE, ROOT / "recipes")
    for path in sorted(folder.rglob("*.py"))
    if not folder.is_symlink()
}
OUTSIDE = [name for name in FILES if "/backend/" not in name]
PRIVATE_TO_OTHERS = re.compile(
    r"keras\.src|tensorflow\.python|_inbound_nodes|\bbackend\(\)|\bin_xla\b|\bin_vectorized_map\b"
)
# The same in each of these places: the sections of recipes, and a folder's tokenizer.
OF_ONE_MEANING = {
    "load_tokenizer",
    "Settings",
    "make_batches",
    "make_config",
    "make_model",
    "train",
}


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.module or "", alias.name


def is_public(name):
    return not name.startswith("_")


@pytest.mark.parametrize("name", OUTSIDE)
def test_only_backend_asks_which_it_is_and_for_what_others_keep_private(name):
    source = ast.unparse(FILES[name])  # without comments
    found = PRIVATE_TO_OTHERS.search(source)
    assert found is None, found[0]


@pytest.mark.parametrize("name", FILES)
def test_no_file_imports_a_private_name_of_another(name):
    ours = [x for module, x in imports(FILES[name]) if module.startswith("keras_transformer")]
    assert [x for x in ours if not is_public(x)] == []


def signatures(tree, path=""):
    """`(name, arguments and result without a hint)` of every public function and method."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and is_public(node.name):
            yield from signatures(node, f"{node.name}.")
        if not isinstance(node, ast.FunctionDef):
            continue
        if not (is_public(node.name) or (path and node.name == "__init__")):
            continue
        given = node.args
        arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        bare = [x.arg for x in arguments if x and x.annotation is None]
        if path and not any(ast.unparse(x) == "staticmethod" for x in node.decorator_list):
            bare = bare[1:]
        if node.returns is None and node.name != "__init__":
            bare.append("result")
        yield path + node.name, bare


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("keras_transformer/")])
def test_every_public_signature_has_hints(name):
    if name.rpartition("/")[2].startswith("_") and not name.endswith("__init__.py"):
        pytest.skip("is run, not imported")
    assert {x: bare for x, bare in signatures(FILES[name]) if bare} == {}


def test_a_name_is_one_thing():
    places = collections.defaultdict(list)
    for name, tree in FILES.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                places[node.name].append(name)
    pages = {
        f"recipes/{x}.py" for x in "translation masked_lm causal_lm text_classification".split()
    }
    twice = {
        x: found
        for x, found in places.items()
        # Of the recipes' pages the sections are alike; forms of backend/ are those of layers.
        if len([f for f in found if f not in pages and "/backend/" not in f])
        > (0 if set(found) & pages else 1)
        and x not in OF_ONE_MEANING
        and len(found) > 1
    }
    assert twice == {}


@pytest.mark.parametrize("name", FILES)
def test_refusals_have_one_form(name):
    by_hand = [
        node.lineno
        for node in ast.walk(FILES[name])
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and re.search(r"\b[Ee]xpected\b.*Received", "".join(map(ast.unparse, node.exc.args)))
    ]
    assert by_hand == []


@pytest.fixture(scope="module")
def budgets():
    path = ROOT / "benchmarks" / "budgets.py"
    if not path.is_file():
        pytest.skip("the repository's benchmarks are not here")
    spec = importlib.util.spec_from_file_location("budgets", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(sys.getprofile() is not None, reason="something else measures the code")
@pytest.mark.slow
def test_a_forward_pass_is_short_to_read(budgets):
    for build, changes in budgets.FAMILIES.values():
        computing, _, with_wiring, *_ = budgets.measure(build, changes)
        assert 150 < computing <= 300 and with_wiring <= 450
    layers = list(budgets.layers())
    assert len(layers) > 12 and max(lines for _, lines, *_ in layers) < 95


def test_budgets_count_code_alone(budgets, tmp_path):
    path = tmp_path / "some.py"
    path.write_text(
        '"""Words."""\n\nimport os\n\n\ndef f(x):\n    # why\n    return (\n        x\n    )\n'
    )
    code = budgets.Code(path)
    [function] = [node for node in code.tree.body if isinstance(node, ast.FunctionDef)]
    assert code.lines == code.of(function) == {6, 8, 9, 10}
    assert code.function_at(6) == (function, False)
