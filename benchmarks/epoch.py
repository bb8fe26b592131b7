"""One epoch of our translation recipe on real text, as one line of JSON.

    python benchmarks/epoch.py ours-tf multi30k PRECISION FOLDER

Text in, updates done: the clock starts before the files are read and stops after the last update,
so tokenising, batching and tracing count. FOLDER holds Multi30k, split into words or subwords, as
`train.en` and `train.de`; the model is Transformer-Tiny.
"""

import sys
import time
from pathlib import Path

import work


def measure(peer, name, precision, folder):
    files = {side: Path(folder) / f"train.{side}" for side in ("en", "de")}
    for file in files.values():
        if not file.is_file():
            raise SystemExit(f"skipped: no {file}; --data names the folder of Multi30k")
    policy = work.training_policy(precision)
    keras = work.use_keras(peer, policy)
    import keras_transformer as kt
    from keras_transformer.recipes import beginning, translation

    flags = (
        f"--source {files['en']} --target {files['de']} --tokenizer whitespace "
        f"--preset transformer_tiny --dropout 0.3 --precision {policy}"
    )
    settings = translation.Settings.parse(flags.split(), "")
    keras.utils.set_random_seed(settings.seed)
    start = time.perf_counter()
    text = kt.text.read_parallel(settings.source, settings.target)
    tokenizer = beginning.make_tokenizer(settings, text[0] + text[1])
    batches = translation.make_batches(settings, tokenizer, text)
    length = settings.max_length
    config = beginning.make_config(settings, tokenizer, max_sequence_length=length)
    model = translation.make_model(settings, config)
    model.fit(batches.dataset(), steps_per_epoch=batches.num_batches, verbose=0)
    seconds = time.perf_counter() - start
    return {
        "tokens_per_second": batches.target_tokens / seconds,
        "parameters": work.count_parameters(model),
        "note": f"{batches.num_batches} updates in {seconds:.0f} s, "
        f"{100 * batches.padding_fraction:.1f} % padding",
    }


if __name__ == "__main__":
    work.report(measure(*sys.argv[1:5]))
