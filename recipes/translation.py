"""Translation: train a Transformer on pairs of sentences, score it, translate with it.

    python recipes/translation.py                                  # English to Portuguese, built in
    python recipes/translation.py --source train.en --target train.de --valid-source val.en \\
        --valid-target val.de --test-source test.en --test-target test.de --name en-de
    echo "A dog runs." | python recipes/translation.py translate --run runs/en-de
    python recipes/translation.py evaluate --run runs/en-de --source test.en --target test.de

The model and the training are those of Vaswani et al. 2017, "Attention Is All You Need". The
built-in corpus takes about three minutes on two cores and scores above 95 BLEU; docs/results.md has
the scores on real text, with their commands.
"""

import functools
import json
import os
import sys
from dataclasses import dataclass
from typing import ClassVar

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes on the machine

import keras_transformer as kt
from keras_transformer.recipes import beginning, built_in_corpus, command_line, common, terminal
from keras_transformer.recipes.flags import flag_of


# The flags of training, beside those of common.Settings, and of commands for finished runs.
@dataclass(frozen=True, kw_only=True)
class Decoding:
    beams: int = 5  # hypotheses of the beam search; 1 is greedy
    length_penalty: float = 1.0  # scores are divided by length**this
    tokenize: str = "13a"  # sacreBLEU's tokenizer; none for text that is split already
    lowercase: bool = False  # score without regard to case


@dataclass(frozen=True, kw_only=True)
class Settings(Decoding, common.Settings):
    recipe: ClassVar = "translation"
    families: ClassVar = ("marian", "bart")
    length: ClassVar = "max_length"
    built_in: ClassVar = (  # 256 of the tokens are for bytes
        "--vocabulary-size 1250 --num-layers 2 --dropout 0.1 --epochs 5 --batch-tokens 1024 "
        "--max-length 64 --average 3 --beams 1 --peak-learning-rate 3e-3 --warmup-updates 400"
    )
    # Text. Without any, the built-in corpus.
    source: str | None = None  # training sentences, one a line, plain or compressed
    target: str | None = None  # their translations, one a line
    pairs: str | None = None  # instead of both: source<tab>target lines
    valid_source: str | None = None  # validation sentences; without them 1,000 pairs are held out
    valid_target: str | None = None  # their translations
    test_source: str | None = None  # test sentences; without them 1,000 more pairs are held out
    test_target: str | None = None  # their translations
    tokenizer: str = "sentencepiece"  # or sentencepiece_bpe, wordpiece, whitespace, character, bpe
    # Batches.
    batch_tokens: int = 4096  # target tokens an update, padding included
    max_length: int = 256  # longest sentence in tokens; others are left out
    # Model and training.
    preset: str = "transformer_tiny"  # named size, such as transformer_base
    epochs: int = 20  # passes over the text
    peak_learning_rate: float = 2e-3  # Adam's rate after the warm-up
    warmup_updates: int = 2000  # updates of linear rise; then it falls as 1/sqrt
    label_smoothing: float = 0.1  # share of each target spread over the vocabulary
    clip_norm: float = 25.0  # largest norm of all gradients together
    average: int = 10  # epochs whose weights are averaged at the end

    def is_built_in(self) -> bool:
        return not (self.source or self.pairs or self.from_zoo)

    def check(self) -> None:
        super().check()
        for part in ("", "valid_", "test_"):
            if bool(getattr(self, f"{part}source")) != bool(getattr(self, f"{part}target")):
                flag = flag_of(part)
                raise ValueError(f"{flag}source and {flag}target go together.")
        if self.source and self.pairs:
            raise ValueError("Expected --source and --target, or --pairs, not both.")
        kt.monitoring.TranslationScores(self.tokenize, self.lowercase)


@dataclass(frozen=True, kw_only=True)
class Translating(Decoding, common.Finished):
    pass


@dataclass(frozen=True, kw_only=True)
class Files(Translating):
    source: str  # sentences, one a line
    target: str  # their reference translations


# Text and batches.
def read_corpus(settings: Settings):
    """Training, validation and test text, each a pair of lists of lines."""
    read = kt.text.read_parallel
    if settings.pairs:
        train = kt.text.read_pairs(settings.pairs)
    elif settings.source:
        train = read(settings.source, settings.target)
    else:
        parts = built_in_corpus.split_pairs(30_000, 500, 500, seed=settings.seed)
        return [tuple(map(list, zip(*pairs, strict=True))) for pairs in parts]
    valid = settings.valid_source and read(settings.valid_source, settings.valid_target)
    test = settings.test_source and read(settings.test_source, settings.test_target)
    return common.hold_out_missing(train, valid, test, settings.seed)


def make_batches(settings: Settings, tokenizer, text, shuffle=True):
    return kt.data.PairBatches.of_text(
        tokenizer,
        *text,
        batch_tokens=settings.batch_tokens,
        max_length=settings.max_length,
        seed=settings.seed,
        shuffle=shuffle,
    )


# Model.
def make_model(settings: Settings, config):
    model = kt.models.encoder_decoder(config)
    beginning.load_zoo(settings, model)
    rate = kt.training.InverseSquareRoot(settings.peak_learning_rate, settings.warmup_updates)
    clip = settings.clip_norm or None
    figures = [kt.training.MaskedAccuracy, kt.training.Perplexity]
    figures += [kt.training.TargetTokens, kt.training.PaddingFraction]
    model.compile(
        kt.training.Adam(rate, beta_2=0.98, epsilon=1e-9, global_clipnorm=clip),
        kt.training.MaskedCrossentropy(settings.label_smoothing, pad_id=config.pad_id),
        metrics=[figure(pad_id=config.pad_id) for figure in figures],
    )
    return model


# Train.
def train(settings: Settings) -> None:
    common.prepare(settings)
    text, valid_text, test_text = texts = read_corpus(settings)
    tokenizer = beginning.make_tokenizer(settings, text[0] + text[1])
    unknown = common.check_unknown(settings, tokenizer, *zip(*texts, strict=True))
    batches = make_batches(settings, tokenizer, text)
    valid_batches = make_batches(settings, tokenizer, valid_text, shuffle=False)
    config = beginning.make_config(settings, tokenizer, max_sequence_length=settings.max_length)
    model = make_model(settings, config)
    run = common.begin_run(settings, tokenizer, config, model, unknown, batches, valid_batches)
    greedy = kt.tasks.Translator(model, tokenizer, 1, max_length=settings.max_length, retry=False)
    scores = kt.monitoring.TranslationScores(settings.tokenize, settings.lowercase)
    samples = kt.monitoring.SampleTranslations(settings.log_dir, greedy, *valid_text, scores)
    look_at = greedy, list(zip(*valid_text, strict=True))
    reached = common.train(
        settings, run, model, batches, valid_batches, look_at, samples, keep=settings.average
    )
    kt.training.average_checkpoints(run, model, last=settings.average)
    run.save_model(model)
    translator = kt.tasks.Translator(
        model, tokenizer, settings.beams, settings.length_penalty, settings.max_length
    )
    outputs, found = scores.of(translator, *test_text)
    valid = model.evaluate(valid_batches.dataset(), return_dict=True, verbose=0)
    found |= {"valid_loss": valid["loss"], "valid_perplexity": valid["perplexity"]}
    rows = zip(*(map(tokenizer.plain, side) for side in test_text), outputs, strict=True)
    terminal.show_table("Translations", samples.titles, rows)
    common.finish(settings, run, model, batches, *reached, found)


# Translate and score.
def load_translator(options: Translating) -> kt.tasks.Translator:
    return kt.tasks.Translator.load(
        options.run, options.int8, beams=options.beams, length_penalty=options.length_penalty
    )


def translate(options: Translating):
    """Translates standard input, a line each."""
    show = lambda line, text: terminal.one_line(text or "")  # noqa: E731
    terminal.answer_lines(load_translator(options), "translated", show)


def evaluate(options: Files):
    """BLEU and chrF of the translations of a file."""
    scores = kt.monitoring.TranslationScores(options.tokenize, options.lowercase)
    source, target = kt.text.read_parallel(options.source, options.target)
    translator = load_translator(options)
    failed = terminal.name_lines(translator.problems(source), "translated")
    print(json.dumps(scores.of(translator, source, target)[1], indent=2))
    sys.exit(1 if failed else 0)


COMMANDS = (translate, evaluate)
main = functools.partial(command_line.run, Settings, train, COMMANDS)

if __name__ == "__main__":
    main()
