"""What a process holds that goes on and on, as a table and a picture: memory has to stay flat.

    python benchmarks/soak.py [--scale 0.01] [--only NAME ...] [--picture docs/pictures/soak.svg]

100,000 calls of a small generator, 10,000 of each task, 2,000 training steps over all shapes of a
corpus, and 200 epochs with the callbacks of the recipes; lengths, batch sizes and texts are random.
Each in a process of its own, one after the other. What is measured, after every hundredth, is the
resident memory after `gc.collect()` and glibc's `malloc_trim`: without garbage, and without what
the allocator keeps for the next call, in which a leak would hide. Rise and slope are those after
the first tenth, in which programs are compiled for the few shapes.
"""

import argparse
import contextlib
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WORDS = [f"w{i}" for i in range(60)]
LENGTH = 32  # tokens that the models read
SMALL = {
    "num_layers": 1,
    "num_heads": 2,
    "hidden_dim": 8,
    "intermediate_dim": 16,
    "max_sequence_length": LENGTH,
    "position": "learned",
}
POINTS = 100


def resident_mib():
    """What the process holds, once garbage is collected and free memory given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Soak:
    """Counts what was done, and looks at the memory after every hundredth of it."""

    def __init__(self, count):
        self.count, self.done = count, 0
        self.every = max(1, count // POINTS)
        self.places, self.memory = [], []

    def step(self):
        self.done += 1
        if self.done % self.every == 0:
            self.places.append(self.done)
            self.memory.append(resident_mib())


def texts(rng, lines, most=LENGTH - 4):
    """So many lines of random words."""
    return [" ".join(rng.choice(WORDS, rng.integers(1, most + 1))) for _ in range(lines)]


def tokenizer(mask=False):
    import keras_transformer as kt

    return kt.text.train_tokenizer("whitespace", [" ".join(WORDS)], mask=mask)


def config(size, **changes):
    import keras_transformer as kt

    return kt.TransformerConfig(vocabulary_size=size, **{**SMALL, **changes})


def soak_generator(soak):
    import keras_transformer as kt

    model = kt.models.decoder_only(config(50))
    generate = kt.Generator(model, end_id=3, max_new_tokens=6)
    rng = np.random.default_rng(0)
    while soak.done < soak.count:
        shape = rng.integers(1, 9), rng.integers(1, LENGTH - 6)
        generate(rng.integers(4, 50, shape))
        soak.step()


def soak_task(make, change=lambda line: line):
    """A target of a function that makes a task."""

    def run(soak):
        task, rng = make(), np.random.default_rng(0)
        while soak.done < soak.count:
            lines = texts(rng, int(rng.integers(1, 17)))
            task([change(line) for line in lines])
            soak.step()

    return run


def make_translator():
    import keras_transformer as kt

    words = tokenizer()
    model = kt.models.encoder_decoder(config(words.vocabulary_size))
    return kt.tasks.Translator(model, words, beams=2, max_new_tokens=8)


def make_writer():
    import keras_transformer as kt

    words = tokenizer()
    model = kt.models.decoder_only(config(words.vocabulary_size))
    return kt.tasks.TextGenerator(model, words, max_new_tokens=2, temperature=0.9)


def make_filler():
    import keras_transformer as kt

    words = tokenizer(mask=True)
    model = kt.models.masked_language_model(config(words.vocabulary_size))
    return kt.tasks.MaskFiller(model, words)


def make_classifier():
    import keras_transformer as kt

    words = tokenizer()
    model = kt.models.sequence_classifier(config(words.vocabulary_size), num_classes=3)
    return kt.tasks.TextClassifier(model, words)


def make_embedder():
    import keras_transformer as kt

    words = tokenizer()
    return kt.tasks.TextEmbedder(kt.models.encoder_only(config(words.vocabulary_size)), words)


def pairs(count, most):
    """A model of translation that is compiled, and batches of random pairs for it."""
    import keras_transformer as kt

    words, rng = tokenizer(), np.random.default_rng(0)
    source, target = (texts(rng, count, most) for _ in range(2))
    batches, valid = (
        kt.data.PairBatches.of_text(words, *sides, batch_tokens=256, shuffle=shuffle)
        for sides, shuffle in (((source, target), True), ((source[:20], target[:20]), False))
    )
    model = kt.models.encoder_decoder(config(words.vocabulary_size))
    optimizer = kt.training.adamw(model, 1e-3)
    metrics = [kt.training.TargetTokens()]
    model.compile(optimizer, kt.training.MaskedCrossentropy(), metrics=metrics)
    return model, batches, valid


def soak_steps(soak):
    import keras

    model, batches, _ = pairs(2000, LENGTH - 4)
    after = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: soak.step())
    steps = min(soak.count, batches.num_batches)
    epochs = -(-soak.count // steps)
    options = {"steps_per_epoch": steps, "epochs": epochs, "verbose": 0, "callbacks": [after]}
    model.fit(batches.dataset(), **options)


def soak_epochs(soak):
    import keras

    import keras_transformer as kt

    model, batches, valid = pairs(60, 12)
    after = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: soak.step())
    with tempfile.TemporaryDirectory() as folder:
        run = kt.training.Run.create(f"{folder}/run", {})
        board = kt.monitoring.TensorBoard(f"{folder}/logs", every=1)
        before = [kt.training.Throughput(), kt.training.LogConstants(padding_fraction=0.0)]
        checkpoint = kt.training.Checkpoint(run, keep=3)
        callbacks = [*before, board, after]
        kt.training.fit(model, batches, valid, checkpoint, soak.count, callbacks=callbacks)


TARGETS = {  # name: (how often in a whole run, of what, function)
    "Generator": (100_000, "calls", soak_generator),
    "Translator": (10_000, "calls", soak_task(make_translator)),
    "TextGenerator": (10_000, "calls", soak_task(make_writer)),
    "MaskFiller": (10_000, "calls", soak_task(make_filler, lambda line: f"{line} [MASK]")),
    "TextClassifier": (10_000, "calls", soak_task(make_classifier)),
    "TextEmbedder": (10_000, "calls", soak_task(make_embedder)),
    "training steps": (2_000, "steps", soak_steps),
    "fit": (200, "epochs", soak_epochs),
}


def measure(name, scale=1.0):
    """What one target held: `places`, `memory` in MiB, `seconds`."""
    count, _, function = TARGETS[name]
    soak = Soak(max(2, round(count * scale)))
    began = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        function(soak)
    seconds = time.perf_counter() - began
    return {"places": soak.places, "memory": soak.memory, "seconds": seconds}


def after_the_first(places, memory, share=0.1):
    """`(first, rise, slope)`: MiB at a share of the way, what came on top, and that a 1,000."""
    places, memory = np.array(places, float), np.array(memory)
    kept = places >= share * places[-1]
    places, memory = places[kept], memory[kept]
    slope = np.polyfit(places, memory, 1)[0] * 1000 if len(places) > 1 else 0.0
    return memory[0], memory[-1] - memory[0], float(slope)


def in_process(name, scale):
    """As `measure`, in a process of its own."""
    command = [sys.executable, __file__, "--in-process", name, "--scale", str(scale)]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, env=quiet)
    if done.returncode:
        raise SystemExit(f"{name}: ended with {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def draw(found, path):
    """A curve a target, of what came on top of what the process held at a tenth of the way."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "soak"  # the same file of the same figures
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    for name, result in found.items():
        count, unit, _ = TARGETS[name]
        places, memory = np.array(result["places"]), np.array(result["memory"])
        first, *_ = after_the_first(places, memory)
        axes.plot(100 * places / places[-1], memory - first, label=f"{name}, {count:,} {unit}")
    axes.set(xlabel="% of the way", ylabel="MiB beyond those at 10 %")
    axes.axhline(0, color="gray", linewidth=0.5)
    axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="share of a whole run")
    parser.add_argument("--only", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--picture", type=Path, help="file of the picture, such as soak.svg")
    parser.add_argument("--in-process", choices=TARGETS, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.in_process:
        print(json.dumps(measure(chosen.in_process, chosen.scale)))
        return
    print("| | done | seconds | MiB at 10 % | rise, MiB | slope, MiB a 1,000 |")
    print("|---|---|---|---|---|---|", flush=True)
    found = {}
    for name in chosen.only:
        result = found[name] = in_process(name, chosen.scale)
        first, rise, slope = after_the_first(result["places"], result["memory"])
        done, unit = result["places"][-1], TARGETS[name][1]
        row = name, f"{done:,} {unit}", f"{result['seconds']:.0f}", f"{first:.0f}"
        print("|", *" | ".join([*row, f"{rise:+.1f}", f"{slope:+.3f}"]).split(" "), "|", flush=True)
    if chosen.picture:
        draw(found, chosen.picture)


if __name__ == "__main__":
    main()
