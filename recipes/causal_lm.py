"""Causal language modelling: train a GPT on text, then let it write.

    python recipes/causal_lm.py                                    # built-in English sentences
    python recipes/causal_lm.py --text book.txt --preset gpt_mini --modern --name book
    python recipes/causal_lm.py generate --run runs/book --prompt "It was a dark and"

The model is that of Radford et al. 2019 ("GPT-2"), or with `--modern` that of its descendants:
rotary positions, RMSNorm, a gated feed-forward network, grouped key-value heads, no biases. Rows
are random crops of one long text, or with `--documents` whole lines, each as if it were alone. The
built-in corpus takes under two minutes on two cores; docs/results.md has the figures on real text.
"""

import functools
import itertools
import os
from dataclasses import dataclass
from typing import ClassVar, Literal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes on the machine

import keras_transformer as kt
from keras_transformer.recipes import beginning, built_in_corpus, command_line, common, terminal

NO_LABEL = -1  # published vocabularies may have no padding, or one that is also the end


# The flags of training, beside those of common.Settings, and of commands for finished runs.
@dataclass(frozen=True, kw_only=True)
class Settings(common.Settings):
    recipe: ClassVar = "causal_lm"
    families: ClassVar = ("gpt2", "llama", "mistral", "qwen2", "gemma")
    roles: ClassVar = ("end",)
    length: ClassVar = "row_length"
    built_in: ClassVar = (
        "--vocabulary-size 700 --preset gpt_micro --row-length 64 --epochs 3 "
        "--peak-learning-rate 3e-3"
    )
    # Text. Without any, the built-in corpus.
    text: tuple[str, ...] = ()  # text files, plain or compressed
    valid_text: tuple[str, ...] = ()  # validation text; without it some is held out
    documents: bool = False  # every line is a text of its own
    tokenizer: Literal["bpe", "character", "sentencepiece", "sentencepiece_bpe"] = "bpe"  # kind
    lowercase: bool = False  # lower-case all text
    # Batches.
    batch_size: int = 16  # rows a batch
    row_length: int = 128  # tokens of a row, the model's context
    accumulate: int = 1  # batches whose gradients make one update
    epoch_updates: int | None = None  # updates between validations (default: once the text)
    # Model and training.
    preset: str = "gpt_mini"  # named size, such as gpt2_small
    modern: bool = False  # RoPE, RMSNorm, SwiGLU, grouped heads, no biases
    window: int | None = None  # how many tokens back a token sees
    peak_learning_rate: float = 1e-3  # AdamW's rate after the warm-up
    warmup_updates: int = 100  # updates of linear rise, before half a cosine down
    weight_decay: float = 0.1  # of matrices, not of norms and biases
    clip_norm: float = 1.0  # largest norm of all gradients together

    def is_built_in(self) -> bool:
        return not (self.text or self.from_zoo)

    def check(self) -> None:
        super().check()
        if self.documents and self.epoch_updates:
            raise ValueError("--epoch-updates is for a stream: of --documents all are an epoch.")


@dataclass(frozen=True, kw_only=True)
class Generating(kt.tasks.Writing, common.Finished):
    prompt: str | None = None  # text to continue; without it every line of standard input
    max_new_tokens: int = 200  # most tokens to add
    temperature: float = 0.8  # 0 always takes the likeliest token
    keep_last: bool = False  # of a prompt that is too long, read the end
    batch_size: int = 8  # lines of standard input at a time


# Text and batches.
def read_corpus(settings: Settings):
    """Training and validation text, two str: the last tenth is held out, or 1,000 documents."""
    if settings.text:
        text = kt.text.read_text(settings.text)
    else:
        pairs, *_ = built_in_corpus.split_pairs(30_000, 0, 0, seed=settings.seed)
        text = join_lines(english for english, _ in pairs)
    if settings.valid_text:
        return text, kt.text.read_text(settings.valid_text)
    if settings.documents:
        return map(join_lines, kt.data.hold_out(lines(text), settings.seed))
    cut = len(text) * 9 // 10
    return text[:cut], text[cut:]


def join_lines(lines) -> str:
    return "".join(f"{line}\n" for line in lines)


def lines(text: str) -> list[str]:
    """The lines of a text that are not empty."""
    return [line for line in text.split("\n") if line.strip()]


def make_batches(settings: Settings, tokenizer, text, shuffle=True):
    rows = {
        "batch_size": settings.batch_size,
        "row_length": settings.row_length,
        "pad_id": tokenizer.pad_id or 0,
        "label_pad_id": NO_LABEL,
        "shuffle": shuffle,
        "seed": settings.seed,
    }
    if settings.documents:
        special = {"start_id": tokenizer.document_start_id, "end_id": tokenizer.end_id}
        return kt.data.DocumentBatches(tokenizer.encode(lines(text)), **rows, **special)
    if shuffle and settings.epoch_updates:
        rows["num_batches"] = settings.epoch_updates * settings.accumulate
    return kt.data.StreamBatches(tokenizer.encode_stream(text), **rows)


# Model.
def make_config(settings: Settings, tokenizer) -> kt.TransformerConfig:
    changes = {"line_start_id": tokenizer.document_start_id if settings.documents else None}
    if settings.dropout is not None:
        changes["attention_dropout"] = settings.dropout
    rows = {"max_sequence_length": settings.row_length, "window": settings.window}
    # Padding comes last in a row, where no token sees it.
    config = beginning.make_config(settings, tokenizer, changes, **rows, pad_id=None)
    return config.modernized() if settings.modern else config


def make_model(settings: Settings, config, num_batches):
    model = kt.models.decoder_only(config)
    beginning.load_zoo(settings, model)
    schedule, accumulate = kt.training.cosine_decay, settings.accumulate
    model.compile(
        beginning.make_optimizer(settings, model, num_batches, schedule, accumulate, beta_2=0.99),
        kt.training.MaskedCrossentropy(pad_id=NO_LABEL),
        metrics=[kt.training.Perplexity(pad_id=NO_LABEL)],
    )
    return model


# Train.
def train(settings: Settings) -> None:
    common.prepare(settings)
    text, valid_text = read_corpus(settings)
    every, lowercase = text.splitlines(keepends=True), settings.lowercase
    tokenizer = beginning.make_tokenizer(settings, every, lowercase=lowercase)
    unknown = common.check_unknown(settings, tokenizer, [lines(text), lines(valid_text)])
    batches = make_batches(settings, tokenizer, text)
    valid_batches = make_batches(settings, tokenizer, valid_text, shuffle=False)
    config = make_config(settings, tokenizer)
    model = make_model(settings, config, batches.num_batches)
    run = common.begin_run(settings, tokenizer, config, model, unknown, batches, valid_batches)
    # Ends of lines are read too; empty lines only of a stream whose tokenizer knows them.
    is_whole = tokenizer.lossless and not settings.documents
    characters = len(valid_text if is_whole else join_lines(lines(valid_text)))
    figures = kt.training.LanguageModelFigures(
        config, settings.row_length, valid_batches.tokens / characters, model.compute_dtype
    )
    print(figures.describe(), flush=True)
    sampling = {"temperature": 0.8, "top_p": 0.95, "seed": settings.seed}
    look_at = kt.tasks.TextGenerator(model, tokenizer, 60, **sampling), lines(valid_text)
    samples = kt.monitoring.SampleTexts(settings.log_dir, *look_at, settings.seed)
    reached = common.train(settings, run, model, batches, valid_batches, look_at, figures, samples)
    run.save_model(model)
    found = model.evaluate(valid_batches.dataset(), return_dict=True, verbose=0)
    found |= figures.of_perplexity(found["perplexity"]) | {"tokens": valid_batches.tokens}
    metrics = {f"valid_{name}": value for name, value in found.items()}
    terminal.show_table("Samples", samples.titles, samples.rows())
    common.finish(settings, run, model, batches, *reached, metrics)


# Generate.
def generate(options: Generating):
    """Continues a prompt as the tokens come, or all lines of standard input, many at a time."""
    own = {"run", "int8", "prompt", "keep_last"}
    settings = {name: value for name, value in vars(options).items() if name not in own}
    write = kt.tasks.TextGenerator.load(options.run, options.int8, **settings)
    cut = options.keep_last, "--keep-last takes the last ones"
    if options.prompt is None:
        answer = functools.partial(write.n_best, n=options.samples)
        return terminal.answer_lines(write, "continued", show_texts, answer, *cut)
    prompt = terminal.checked_line(write, "--prompt", options.prompt, *cut)
    if options.samples > 1:
        print(show_texts(prompt, write.n_best(prompt, options.samples, truncate=True), str))
    else:
        for piece in itertools.chain([prompt], write.stream(prompt, truncate=True), ["\n"]):
            print(piece, end="", flush=True)


def show_texts(prompt, texts, shown=terminal.one_line):
    """Every text after a line with the log-probability of what is new in it; None without any."""
    rows = ((score, shown(prompt + text)) for text, score in texts or ())
    return "\n".join(f"--- log-probability {score:.2f}\n{row}" for score, row in rows) or None


COMMANDS = (generate,)
main = functools.partial(command_line.run, Settings, train, COMMANDS)

if __name__ == "__main__":
    main()
