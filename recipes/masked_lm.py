"""Masked language modelling: pretrain a BERT on text, then let it fill in missing words.

    python recipes/masked_lm.py                                    # built-in English sentences
    python recipes/masked_lm.py --text wiki.txt.gz news.txt --preset bert_small --name wiki
    echo "The dog [MASK] in the garden." | python recipes/masked_lm.py fill --run runs/wiki

The model and the masks are those of Devlin et al. 2019, "BERT"; short lines share rows, each as if
it were alone. The built-in corpus takes a minute and a half on two cores and guesses 48 % of
the masked words; docs/results.md has the figures on real text, with their commands. What a run has
learned is fine-tuned by text_classification.py.
"""

import functools
import os
from dataclasses import dataclass
from typing import ClassVar

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes on the machine

import keras_transformer as kt
from keras_transformer.recipes import beginning, built_in_corpus, command_line, common, terminal


# The flags of training, beside those of common.Settings, and of commands for finished runs.
@dataclass(frozen=True, kw_only=True)
class Settings(common.Settings):
    recipe: ClassVar = "masked_lm"
    families: ClassVar = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert")
    roles: ClassVar = ("start", "end", "pad", "mask")
    length: ClassVar = "row_length"
    built_in: ClassVar = (
        "--vocabulary-size 700 --num-layers 2 --num-heads 4 --hidden-dim 128 "
        "--intermediate-dim 512 --row-length 64 --epochs 8 --peak-learning-rate 2e-3 "
        "--warmup-updates 200"
    )
    # Text. Without any, the built-in corpus.
    text: tuple[str, ...] = ()  # files with a sentence or a document a line, plain or compressed
    valid_text: tuple[str, ...] = ()  # validation text; without it 1,000 lines are held out
    tokenizer: str = "wordpiece"  # or bert, sentencepiece, sentencepiece_bpe, whitespace, bpe
    vocabulary: str | None = None  # instead of training a tokenizer: a published BERT's vocab.txt
    lowercase: bool = False  # lower-case all text
    # Batches.
    batch_size: int = 32  # rows an update
    row_length: int = 128  # tokens of a row, which holds several lines
    mask_rate: float = 0.15  # share of the tokens to guess
    whole_words: bool = False  # mask all tokens of a word together
    next_sentence: bool = False  # also guess whether two lines are neighbours
    # Model and training.
    preset: str = "bert_mini"  # named size, such as bert_small
    peak_learning_rate: float = 1e-3  # AdamW's rate after the warm-up
    warmup_updates: int = 500  # updates of linear rise, before the fall
    weight_decay: float = 0.01  # of matrices, not of norms and biases
    clip_norm: float = 1.0  # largest norm of all gradients together

    def is_built_in(self) -> bool:
        return not (self.text or self.from_zoo)


@dataclass(frozen=True, kw_only=True)
class Filling(common.Finished):
    guesses: int = 5  # completions of a line


# Text and batches.
def read_corpus(settings: Settings):
    """Training and validation lines; an empty line ends a document."""
    if not settings.text:
        parts = built_in_corpus.split_pairs(30_000, 500, 0, seed=settings.seed)
        return [[english for english, _ in part] for part in parts[:2]]
    train = read_files(settings.text)
    if settings.valid_text:
        return train, read_files(settings.valid_text)
    if settings.next_sentence:
        raise ValueError("Expected --valid-text with --next-sentence: lines belong together.")
    return kt.data.hold_out([line for line in train if line.strip()], settings.seed)


def read_files(paths: tuple[str, ...]) -> list[str]:
    lines = []
    for path in paths:
        lines += [*kt.text.read_lines(path), ""]  # a file ends its last document
    return lines


def make_batches(settings: Settings, tokenizer, config, lines, shuffle=True):
    return kt.data.MaskedBatches(
        tokenizer.encode(lines),
        tokenizer,
        batch_size=settings.batch_size,
        row_length=settings.row_length,
        mask_rate=settings.mask_rate,
        whole_words=settings.whole_words,
        next_sentence=settings.next_sentence,
        segments=config.num_segments > 0,
        seed=settings.seed,
        shuffle=shuffle,
    )


# Model.
def make_config(settings: Settings, tokenizer) -> kt.TransformerConfig:
    pairs = settings.next_sentence
    # A row of a pair is one text.
    changes = {"line_start_id": None if pairs else tokenizer.start_id, "pooler": pairs}
    sizes = {"max_sequence_length": settings.row_length, "num_segments": 2 if pairs else 0}
    return beginning.make_config(settings, tokenizer, changes, **sizes)


def make_model(settings: Settings, config, num_batches):
    model = kt.models.masked_language_model(config, next_sentence=settings.next_sentence)
    beginning.load_zoo(settings, model)
    pad_id = config.pad_id
    loss = kt.training.MaskedCrossentropy(pad_id=pad_id)
    metrics = [kt.training.MaskedAccuracy(pad_id=pad_id), kt.training.Perplexity(pad_id=pad_id)]
    if settings.next_sentence:
        not_a_pair = kt.data.NOT_A_PAIR
        loss = [loss, kt.training.MaskedCrossentropy(pad_id=not_a_pair)]
        metrics = [metrics, [kt.training.MaskedAccuracy(pad_id=not_a_pair, name="accuracy")]]
    model.compile(beginning.make_optimizer(settings, model, num_batches), loss, metrics=metrics)
    return model


# Train.
def train(settings: Settings) -> None:
    common.prepare(settings)
    lines, valid_lines = read_corpus(settings)
    tokenizer = beginning.make_tokenizer(settings, lines, lowercase=settings.lowercase, mask=True)
    unknown = common.check_unknown(settings, tokenizer, [lines, valid_lines])
    config = make_config(settings, tokenizer)
    batches = make_batches(settings, tokenizer, config, lines)
    valid_batches = make_batches(settings, tokenizer, config, valid_lines, shuffle=False)
    model = make_model(settings, config, batches.num_batches)
    run = common.begin_run(settings, tokenizer, config, model, unknown, batches, valid_batches)
    speed = kt.data.input_speed(batches)
    print(f"input alone: {speed:,.0f} tokens a second", flush=True)
    fill = kt.tasks.MaskFiller(model, tokenizer, settings.row_length)
    samples = kt.monitoring.SampleGuesses(settings.log_dir, fill, valid_lines, settings.seed)
    look_at = fill, [line for line, _ in samples.samples]
    reached = common.train(settings, run, model, batches, valid_batches, look_at, samples)
    run.save_model(model)
    # The masks of held-out text are always the same.
    found = model.evaluate(valid_batches.dataset(), return_dict=True, verbose=0)
    metrics = {f"valid_{name}": value for name, value in found.items()}
    metrics["input_tokens_per_second"] = round(speed, 1)
    terminal.show_table("Masked words", samples.titles, samples.rows())
    common.finish(settings, run, model, batches, *reached, metrics)


# Fill.
def fill(options: Filling):
    """Fills the [MASK]s of standard input: the likeliest completions of every line."""

    def show(line, completions):
        rows = [f"{p:.4f}\t{terminal.one_line(text)}\n" for text, p in completions or ()]
        return "".join(rows) or None

    task = kt.tasks.MaskFiller.load(options.run, options.int8)
    answer = functools.partial(task, n=options.guesses)
    terminal.answer_lines(task, "filled", show, answer)


COMMANDS = (fill,)
main = functools.partial(command_line.run, Settings, train, COMMANDS)

if __name__ == "__main__":
    main()
