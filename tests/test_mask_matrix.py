"""What may not be seen moves nothing: a part of what `benchmarks/mask_matrix.py` runs in full."""

import functools
import itertools
import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.zoo.families import FAMILIES

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the repository's benchmarks are not here", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))

import mask_cells  # noqa: E402
import mask_matrix  # noqa: E402
import mask_models  # noqa: E402
import mask_report  # noqa: E402
import mask_runs  # noqa: E402
from mask_cells import run_cell  # noqa: E402
from mask_models import make  # noqa: E402
from mask_properties import BASES, CHANGES, PROPERTIES, Setup, setup_of  # noqa: E402
from mask_runs import Run  # noqa: E402

PAIRS = list(itertools.combinations(PROPERTIES, 2))
HELD = ("equal", "close")
KNOWN = {}  # what has been run: several properties are those of a plain pass


def wrong(base, properties, changes=CHANGES):
    """The cells of a row that moved, and how many ran."""
    run, outcomes = functools.cache(lambda setup: Run(make(setup), setup)), {}
    for change in changes:
        setup, reason = setup_of(base, properties, change)
        assert (setup is None) == bool(reason)
        if setup is not None:
            if (setup, change) not in KNOWN:
                KNOWN[setup, change] = run_cell(setup, change, run(setup))
            outcomes[change] = KNOWN[setup, change]
    return {x: found for x, found in outcomes.items() if found.verdict not in HELD}, len(outcomes)


def nowhere(name):
    return name in {"jax": ("graph",), "torch": ("graph", "XLA")}.get(keras.config.backend(), ())


@pytest.mark.parametrize("name", [name for name in PROPERTIES if name != "XLA"])
def test_each_property_alone(name):
    source = "source padding"
    found = [
        wrong("decoder-only", [name], [change for change in CHANGES if change != source]),
        wrong("encoder-decoder", [name], [source]),
    ]
    assert [moved for moved, _ in found] == [{}] * 2
    expected = {"cache": 3, "packed rows": 3}.get(name, 4)
    assert sum(count for _, count in found) == (0 if nowhere(name) else expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROPERTIES)
def test_each_property_of_each_base(name):
    found = [wrong(base, [name]) for base in BASES]
    assert [moved for moved, _ in found] == [{}] * 3
    expected = {"cache": 5, "packed rows": 5, "padded left": 6}.get(name, 8)
    assert sum(count for _, count in found) == (0 if nowhere(name) else expected)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_each_family(family):
    moved, ran = wrong(family, [])
    assert moved == {}
    assert ran == {"decoder-only": 3, "encoder-only": 2, "encoder-decoder": 3}[Setup(family).kind]


@pytest.mark.slow
def test_a_share_of_the_pairs():
    rng = np.random.default_rng(0)
    for index in rng.choice(len(PAIRS), 4, replace=False):
        for base in BASES:
            moved, _ = wrong(base, PAIRS[index])
            assert moved == {}, (base, PAIRS[index])


# ------------------------------------------------------------------------------------------------
# It can fail
# ------------------------------------------------------------------------------------------------


def all_true(call):
    """What a layer returns, with every mask True."""

    def broken(*args, **kwargs):
        return keras.tree.map_structure(
            lambda x: ops.ones_like(x) if keras.backend.standardize_dtype(x.dtype) == "bool" else x,
            call(*args, **kwargs),
        )

    return broken


@pytest.mark.parametrize(
    "layer, base, change, properties",
    [
        ("CausalMask", "decoder-only", "future token", []),
        ("CausalMask", "decoder-only", "future token", ["cache"]),
        ("CausalMask", "decoder-only", "target padding", ["dropout, training=True"]),
        ("CausalMask", "encoder-decoder", "future token", ["bfloat16"]),
        ("CausalMask", "gpt2", "future token", []),
        ("PaddingMask", "decoder-only", "target padding", ["padded left"]),
        ("PaddingMask", "encoder-only", "source padding", []),
        ("PaddingMask", "encoder-decoder", "source padding", ["cache"]),
        ("PackedLines", "decoder-only", "packed neighbour", []),
        ("PackedLines", "encoder-only", "packed neighbour", ["window"]),
    ],
)
def test_a_broken_mask_is_seen(monkeypatch, layer, base, change, properties):
    setup, _ = setup_of(base, properties, change)
    assert run_cell(setup, change).verdict in HELD
    layer = getattr(kt.layers, layer)
    monkeypatch.setattr(layer, "call", all_true(layer.call))
    assert run_cell(setup, change).verdict == "moved"


def test_other_dropout_is_seen(monkeypatch):
    """Were not the same values dropped in both runs, nothing would be told of the change."""
    setup, _ = setup_of("decoder-only", ["dropout, training=True"], "future token")
    run = Run(make(setup), setup)
    run.seeds = []
    monkeypatch.setattr(keras.utils, "set_random_seed", lambda seed: None)
    assert run_cell(setup, "future token", run).verdict == "moved"


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_that_sees_nothing_is_no_proof(change):
    base = "encoder-only" if change == "source padding" else "decoder-only"
    setup, _ = setup_of(base, [], change)
    whole = Run(make(setup), setup)
    first = []

    def stuck(**arguments):
        first.append(whole(**arguments))
        return first[0]

    stuck.setup = setup
    assert run_cell(setup, change, stuck).verdict == "blind"


def test_nan_is_no_agreement(monkeypatch):
    setup = Setup()
    whole = Run(make(setup), setup)

    def nan(**arguments):
        return [x * np.nan for x in whole(**arguments)]

    nan.setup = setup
    assert run_cell(setup, "future token", nan).verdict not in HELD


# ------------------------------------------------------------------------------------------------
# The script
# ------------------------------------------------------------------------------------------------


def test_every_pair_and_family_has_its_cells():
    cells = list(mask_matrix.plan(mask_matrix.parse(["--zoo"])))
    assert len(set(cells)) == len(cells) == 4 * (3 * (16 + 120) + len(FAMILIES) * 16)
    only = list(mask_matrix.plan(mask_matrix.parse(["--zoo", "--only", "window"])))
    assert len(only) == 4 * (3 * (1 + 15) + len(FAMILIES))
    with pytest.raises(SystemExit, match=r"expected one of .*window.*Received: windows"):
        list(mask_matrix.plan(mask_matrix.parse(["--only", "windows"])))


def test_a_moved_cell_is_shown_and_fails(monkeypatch, tmp_path, capsys):
    verdicts = iter(["moved"])

    def outcome(setup, change, run):
        return mask_cells.Outcome(next(verdicts, "equal"), 0.5, 1.0)

    for module in (mask_cells, mask_models, mask_runs):
        monkeypatch.setitem(sys.modules, module.__name__, module)  # which other tests take out
    monkeypatch.setattr(mask_cells, "run_cell", outcome)
    monkeypatch.setattr(mask_models, "make", lambda setup: None)
    monkeypatch.setattr(mask_runs, "Run", lambda model, setup: None)
    file, records = tmp_path / "page.md", tmp_path / "records.json"
    backend = keras.config.backend()
    command = ["--backend", backend, "--only", "window", "--zoo"]
    arguments = [*command, "--markdown", str(file), "--records", str(records)]
    assert mask_matrix.main(arguments) == 1
    assert "moved" in capsys.readouterr().out
    assert "MOVED" in file.read_text() and "cross-attention knows no lines" in file.read_text()
    assert sum(map(mask_report.is_wrong, json.loads(records.read_text())[backend])) >= 1
    assert mask_matrix.main(command) == 0
