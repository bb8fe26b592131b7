"""Loading a published folder of GPT-2 small's size from a warm disk, as one line of JSON.

    python benchmarks/loading.py

`seconds` are from the folder to a model that is ready to run, imports aside, `read_seconds` those
in which the tensors are read and assigned. Memory is this process' peak beyond what it had before
and beyond the model's own weights, in parts of the size of the weights.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from unittest import mock

SAVE = """
import sys, keras_transformer as kt
kt.zoo.save(kt.models.decoder_only(kt.TransformerConfig.preset(sys.argv[1])), sys.argv[2])
"""


def megabytes(field):
    """`VmRSS` or `VmHWM` of this process on Linux, in MB."""
    with open("/proc/self/status") as status:
        [line] = [line for line in status if line.startswith(field)]
    return int(line.split()[1]) * 1024 / 1e6


def measure(folder):
    import keras_transformer as kt
    from keras_transformer.zoo import loading

    reading, restore = [], loading.restore

    def timed(*arguments):
        start = time.perf_counter()
        missing = restore(*arguments)
        reading.append(time.perf_counter() - start)
        return missing

    before = megabytes("VmRSS")
    start = time.perf_counter()
    with mock.patch.object(loading, "restore", timed):
        model = kt.zoo.load(folder)
    seconds = time.perf_counter() - start
    size = model.count_params() * 4 / 1e6
    return {
        "seconds": round(seconds, 2),
        "read_seconds": round(reading[-1], 2),
        "megabytes_per_second": round(size / reading[-1]),
        "memory_beyond_the_model": round((megabytes("VmHWM") - before - size) / size, 2),
        "megabytes": round(size),
    }


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with tempfile.TemporaryDirectory() as folder:
        for preset in ("gpt_nano", "gpt2_small"):  # the first one is for imports
            subprocess.run([sys.executable, "-c", SAVE, preset, folder], check=True)
            measured = measure(folder)
        print(json.dumps(measured))
