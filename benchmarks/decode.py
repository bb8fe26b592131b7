"""One peer's generation with random weights, as one line of JSON.

    python benchmarks/decode.py PEER TASK PRECISION [CALLS]

Every row gets exactly the same number of new tokens, which alone count. Weights and computation
are both in the given precision; the time is the median of the calls after the first.
"""

import os
import sys
import tempfile

import numpy as np
import work


def ours(peer, task, precision, ids):
    """`(generate, parameters)`, as of the other peers: one call of `generate` is timed."""
    work.use_keras(peer, precision)
    import keras_transformer as kt

    model = (work.our_gpt2 if task.decoder_only else work.our_translator)(task.size)
    generator = kt.Generator(
        model,
        end_id=None,
        start_id=None if task.decoder_only else work.START,
        max_new_tokens=task.new_tokens,
        sampler=kt.generation.BeamSearch(task.beams) if task.beams > 1 else "greedy",
    )
    return lambda: generator(ids)[:, -task.new_tokens :], work.count_parameters(model)


def kerashub(peer, task, precision, ids):
    work.use_keras(peer, precision)
    import keras_hub

    size, models = task.size, keras_hub.models
    if task.decoder_only:
        model = work.kerashub_gpt2(size)
        inputs, prefix = padded(ids, task.new_tokens), ""
    else:
        backbone = models.BartBackbone(
            **work.keras_sizes(size),
            max_sequence_length=work.MAX_LENGTH,
        )
        model = models.BartSeq2SeqLM(backbone=backbone, preprocessor=None)
        start = np.full((size.batch, 1), work.START, "int32")
        inputs, prefix = padded(start, task.new_tokens, "decoder_"), "decoder_"
        inputs |= padded(ids, 0, "encoder_")
    beam_search = keras_hub.samplers.BeamSampler(num_beams=task.beams)
    sampler = beam_search if task.beams > 1 else "greedy"
    model.compile(sampler=sampler, jit_compile=peer.endswith("-xla") or "auto")

    def generate():
        outputs = model.generate(inputs, stop_token_ids=None)
        return np.asarray(outputs[f"{prefix}token_ids"])[:, -task.new_tokens :]

    return generate, work.count_parameters(model)


def padded(ids, room, prefix=""):
    """KerasHub's inputs: ids with `room` more places, and which of them are taken."""
    tokens = np.pad(ids, ((0, 0), (0, room)))
    return {
        f"{prefix}token_ids": tokens,
        f"{prefix}padding_mask": (tokens != work.PAD).astype("int32"),
    }


def hf(peer, task, precision, ids):
    torch = work.use_torch()
    model = (work.gpt2 if task.decoder_only else work.marian)(task.size)
    model = model.eval().to(getattr(torch, precision))
    source = torch.tensor(ids).long()
    options = {
        "attention_mask": torch.ones_like(source),
        "do_sample": False,
        "num_beams": task.beams,
        "min_new_tokens": task.new_tokens,
        "max_new_tokens": task.new_tokens,
        "pad_token_id": work.PAD,
    }
    return (
        lambda: model.generate(source, **options)[:, -task.new_tokens :].numpy(),
        work.count_parameters(model),
    )


def ctranslate2(peer, task, precision, ids):
    """Hugging Face's Marian, converted. Without bfloat16 on this CPU, in int8 as its users do."""
    import ctranslate2
    from ctranslate2.converters.transformers import MarianMTLoader

    if task.decoder_only:
        raise SystemExit("skipped: it is for translation only")
    marian = work.marian(task.size).eval()
    spec = MarianMTLoader().get_model_spec(marian)
    vocabulary = [f"t{i}" for i in range(task.size.vocabulary_size - 1)]
    spec.register_source_vocabulary(vocabulary)
    spec.register_target_vocabulary(vocabulary)
    spec.config.decoder_start_token = spec.config.bos_token = vocabulary[work.START]
    spec.config.eos_token, spec.config.unk_token = vocabulary[work.END], vocabulary[1]
    spec.validate()
    supported = ctranslate2.get_supported_compute_types("cpu")
    with tempfile.TemporaryDirectory() as folder:
        spec.save(folder)
        translator = ctranslate2.Translator(
            folder,
            compute_type=precision if precision in supported else "int8",
            intra_threads=os.cpu_count(),
        )
    source = [[vocabulary[i] for i in row] for row in ids]
    options = {"min_decoding_length": task.new_tokens, "max_decoding_length": task.new_tokens}

    def generate():
        results = translator.translate_batch(source, beam_size=task.beams, **options)
        return np.array([[int(token[1:]) for token in x.hypotheses[0]] for x in results])

    return generate, work.count_parameters(marian), translator.compute_type


def measure(peer, task, precision, calls=3):
    task = work.TASKS[task]
    ids = work.random_ids(np.random.default_rng(0), task.size)
    peers = {"ours": ours, "kerashub": kerashub, "hf": hf, "ctranslate2": ctranslate2}
    generate, parameters, *note = peers[peer.partition("-")[0]](peer, task, precision, ids)
    shape = (task.size.batch, task.new_tokens)
    if generate().shape != shape:
        raise RuntimeError(f"expected new tokens of shape {shape}, got {generate().shape}")
    seconds = work.median_seconds(generate, calls, warm_up=0)
    speed = task.size.batch * task.new_tokens / seconds
    return {
        "tokens_per_second": speed,
        "parameters": parameters,
        "note": ", ".join(note),
    }


if __name__ == "__main__":
    work.report(measure(*sys.argv[1:4], *map(int, sys.argv[4:])))
