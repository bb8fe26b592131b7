"""What rounding shapes up saves and costs: `python benchmarks/shapes.py memory | cost`.

`memory` is what a process holds beyond a model of 4 layers after calls with prompts of 1 to 256
tokens in batches of 1 to 16. `cost` is the time of the calls that are rounded most, of GPT-2 small,
and what they would take in their own shape.
"""

import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import work

import keras_transformer as kt
from keras_transformer.generation import room


def resident_mib():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure_memory(calls=2000):
    model = kt.models.decoder_only(
        kt.TransformerConfig(
            vocabulary_size=1000, num_layers=4, num_heads=4, hidden_dim=256, intermediate_dim=1024
        )
    )
    rng = np.random.default_rng(0)
    for name, sampler in (("greedy", "greedy"), ("5 beams", kt.generation.BeamSearch(5))):
        generate = kt.Generator(model, end_id=None, max_new_tokens=16, sampler=sampler)
        generate([[5] * 8])
        before = resident_mib()
        for call in range(1, calls + 1):
            generate(rng.integers(4, 1000, (rng.integers(1, 17), rng.integers(1, 257))))
            if call in (calls // 10, calls):
                print(f"{name}: {call} calls hold {resident_mib() - before:.0f} MiB", flush=True)


def measure_cost():
    sizes = work.keras_sizes(work.GPT2)
    config = kt.TransformerConfig(**sizes, normalize_first=True, position="learned")
    model = kt.models.decoder_only(config)
    for batch, length in ((2, 32), (5, 32), (9, 32), (1, 33), (9, 33)):
        seconds = []
        for rounds in (True, False):
            room.compiles = lambda rounds=rounds: rounds
            generate = kt.Generator(model, end_id=None, max_new_tokens=64)
            seconds.append(min(timed(generate, np.full((batch, length), 7)) for _ in range(4)))
        rounded, exact = seconds
        print(f"{batch} x {length}: {rounded:.2f} s, {rounded / exact:.2f} of {exact:.2f} s")


def timed(function, *args):
    before = time.perf_counter()
    function(*args)
    return time.perf_counter() - before


if __name__ == "__main__":
    {"memory": measure_memory, "cost": measure_cost}[sys.argv[1]]()
