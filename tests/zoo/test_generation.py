"""A published folder's generation settings are honoured, as transformers honours them."""

import json

import numpy as np
import pytest
import tiny

import keras_transformer as kt
from keras_transformer.generation import (
    BeamSearch,
    ForbiddenTokens,
    GreedySampler,
    MinLength,
    RandomSampler,
    TopK,
)

VOCABULARY, PAD = 40, 39
INPUTS = 50


@pytest.fixture(scope="module")
def transformers():
    found = pytest.importorskip("transformers", reason="needs the extra `parity`")
    found.logging.set_verbosity_error()
    found.logging.disable_progress_bar()
    return found


# Folders of our own: no reference is needed to see that a setting is honoured.


def write(folder, model, settings, name="generation_config.json"):
    """Saves a model, then adds settings to a file of its folder."""
    kt.zoo.save(model, folder)
    (folder / "digests.json").unlink()
    path = folder / name
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | settings))
    return folder


def language_model(**changes):
    config = kt.TransformerConfig.preset(
        "gpt2_small",
        vocabulary_size=VOCABULARY,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        **{"max_sequence_length": 100, **changes},
    )
    return tiny.randomize(kt.models.decoder_only(config))


def translator():
    config = kt.TransformerConfig(
        vocabulary_size=VOCABULARY,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        activation="silu",
        logits_bias=True,
        pad_id=PAD,
    )
    return tiny.randomize(kt.models.encoder_decoder(config))


def described(rules):
    """Rules as `(name, its attributes in the order of their names)`."""
    return [(type(rule).__name__, *dict(sorted(vars(rule).items())).values()) for rule in rules]


OPUS = {"decoder_start_token_id": PAD, "pad_token_id": PAD, "eos_token_id": 0}


@pytest.mark.parametrize("name", ["generation_config.json", "config.json"])
def test_a_translator_in_three_lines(tmp_path, name):
    """With the settings that opus-mt folders have, new ones and old ones."""
    settings = {
        **OPUS,
        "bad_words_ids": [[PAD]],
        "bos_token_id": 0,
        "forced_eos_token_id": 0,
        "max_length": 12,
        "num_beams": 4,
    }
    model = translator()
    write(tmp_path, model, settings, name)
    rows = [np.array([5, 7, 3, 0], "int32"), np.array([9, 0], "int32")]
    with tiny.without_tracing():
        generator = kt.zoo.load_generator(tmp_path)
        found = generator(rows)
        expected = kt.Generator(
            model,
            end_id=0,
            start_id=PAD,
            pad_id=PAD,
            max_new_tokens=11,
            sampler=BeamSearch(4, 1.0, penalty="power", early_stopping=False),
            rules=[ForbiddenTokens([PAD]), kt.generation.ForcedTokens([0], at=10)],
        )(rows)
    np.testing.assert_array_equal(found, expected)
    assert (found[:, :10] != PAD).any() and all(0 in row for row in found.tolist())
    assert described(generator.rules) == [
        ("ForbiddenTokens", None, (PAD,)),
        ("ForcedTokens", 10, (0,)),
    ]


SEQ2SEQ_RULES = [
    ({"repetition_penalty": 1.2}, ("RepetitionPenalty", 1.2)),
    ({"no_repeat_ngram_size": 3}, ("NoRepeatNgrams", 3)),
    ({"min_length": 5}, ("MinLength", 4)),  # the start token counts
    ({"min_length": 5, "min_new_tokens": 2}, ("MinLength", 2)),
    ({"bad_words_ids": [[0], [7], [8]]}, ("ForbiddenTokens", None, (7, 8))),  # 0 is the end
    ({"bad_words_ids": [[7, 8]]}, ("ForbiddenSequence", (7, 8))),
    ({"suppress_tokens": [4, 5]}, ("ForbiddenTokens", None, (4, 5))),
    ({"begin_suppress_tokens": [4]}, ("ForbiddenTokens", 0, (4,))),
    ({"forced_bos_token_id": 6}, ("ForcedTokens", 0, (6,))),
    ({"force_bos_token_to_be_generated": True, "bos_token_id": 3}, ("ForcedTokens", 0, (3,))),
    ({"forced_eos_token_id": [0, 2], "max_new_tokens": 9}, ("ForcedTokens", 8, (0, 2))),
    ({"num_beams": 2, "renormalize_logits": True}, ("Renormalize",)),
]
NEUTRAL = {
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "min_length": 0,
    "bad_words_ids": None,
    "forced_bos_token_id": None,
    "diversity_penalty": 0.0,
    "num_beam_groups": 1,
    "guidance_scale": None,
    "typical_p": 0.5,  # of no search but a random one
    "top_k": 3,
    "early_stopping": True,
    "renormalize_logits": True,
    "num_return_sequences": 1,
    "token_healing": False,
    "chat_format": "chatml",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}
    for name, model in (("seq2seq", translator()), ("decoder", language_model())):
        made[name] = tmp_path_factory.mktemp(name)
        kt.zoo.save(model, made[name])
    return made


def load(folder, settings, **changes):
    (folder / "generation_config.json").write_text(json.dumps(settings))
    return kt.zoo.load_generator(folder, **changes)


@pytest.mark.parametrize("settings, rule", SEQ2SEQ_RULES)
def test_rules(folders, settings, rule):
    assert described(load(folders["seq2seq"], OPUS | NEUTRAL | settings).rules) == [rule]


def test_settings_that_change_nothing(folders):
    generator = load(folders["seq2seq"], OPUS | NEUTRAL)
    assert generator.rules == () and isinstance(generator.sampler, GreedySampler)
    assert generator.max_new_tokens == 64


def test_searches(folders):
    beams = {"num_beams": 5, "num_return_sequences": 2, "early_stopping": "never"}
    found = load(folders["seq2seq"], OPUS | beams | {"length_penalty": 0.6}).sampler
    expected = BeamSearch(5, 0.6, 2, penalty="power", early_stopping="never")
    assert vars(found) == vars(expected)
    found = load(folders["decoder"], {"num_beams": 2}).sampler
    assert vars(found) == vars(BeamSearch(2, 1.0, penalty="power", early_stopping=False))

    settings = {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "min_p": 0.1}
    generator = load(
        folders["decoder"], settings | {"num_return_sequences": 3, "min_new_tokens": 2}
    )
    assert isinstance(generator.sampler, RandomSampler) and generator.sampler.samples == 3
    assert described(generator.rules) == [
        ("MinLength", 2),
        ("Temperature", 0.7),
        ("TopK", 50),  # where nothing is said
        ("TopP", 0.9),
        ("MinP", 0.1),
    ]
    plain = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
    assert load(folders["decoder"], plain).rules == ()


def test_special_tokens(folders):
    generator = load(folders["decoder"], {"eos_token_id": [7, 8], "bos_token_id": 3})
    assert (generator.end_ids, generator.start_id, generator.pad_id) == ((7, 8), 3, 7)
    generator = load(folders["decoder"], {"eos_token_id": 7, "pad_token_id": 0})
    assert (generator.end_ids, generator.start_id, generator.pad_id) == ((7,), None, 0)
    assert load(folders["decoder"], {"eos_token_id": 7, "pad_token_id": -1}).pad_id == 7
    assert load(folders["decoder"], {}).end_ids == (-1,)
    generator = load(folders["seq2seq"], {"bos_token_id": 3, "pad_token_id": PAD})
    assert generator.start_id == 3


def test_lengths(folders):
    def new_tokens(kind, settings, **changes):
        generator = load(folders[kind], OPUS | settings, **changes)
        with tiny.without_tracing():
            return generator([[5, 6, 7], [4]]).shape[1] - (3 if kind == "decoder" else 0)

    endless = {"eos_token_id": None}
    assert new_tokens("decoder", endless | {"max_length": 8}) == 5  # prompts count
    assert new_tokens("decoder", endless | {"max_length": 8, "max_new_tokens": 2}) == 2
    assert new_tokens("decoder", endless | {"max_length": 8}, max_new_tokens=7) == 7
    assert new_tokens("seq2seq", endless | {"max_length": 8}) == 7  # the start token counts
    assert new_tokens("seq2seq", endless | {"max_new_tokens": 8}) == 8


def test_the_context_bounds_what_the_folder_says(tmp_path):
    write(tmp_path, language_model(max_sequence_length=6), {"max_length": 100})
    for _ in range(2):
        generator = kt.zoo.load_generator(tmp_path)
        with tiny.without_tracing():
            assert generator([[5, 6, 7]]).shape == (1, 7)  # the last token is never read
        with pytest.raises(ValueError, match="fit the context of 6"):
            generator([[5] * 7])
        (tmp_path / "generation_config.json").unlink(missing_ok=True)


def test_changes(folders):
    settings = OPUS | {"num_beams": 4, "no_repeat_ngram_size": 2, "forced_eos_token_id": 0}
    changes = {"sampler": "greedy", "rules": [MinLength(3)], "end_id": 5, "start_id": 6}
    generator = load(folders["seq2seq"], settings, **changes)
    assert isinstance(generator.sampler, GreedySampler)
    assert generator.rules == (changes["rules"][0],)
    assert (generator.end_ids, generator.start_id) == ((5,), 6)
    generator = load(folders["seq2seq"], settings, max_new_tokens=4)
    assert described(generator.rules)[-1] == ("ForcedTokens", 3, (0,))
    assert (
        load(folders["decoder"], {}, dtype="bfloat16").model.layers[-1].compute_dtype == "bfloat16"
    )


@pytest.mark.parametrize(
    "kind, settings, message",
    [
        *[
            ("decoder", {name: value, "do_sample": True}, f"expected {name}=.*{name}={value!r}")
            for name, value in {
                "diversity_penalty": 0.5,
                "num_beam_groups": 2,
                "penalty_alpha": 0.6,
                "typical_p": 0.9,
                "epsilon_cutoff": 0.1,
                "eta_cutoff": 0.1,
                "top_h": 0.4,
                "guidance_scale": 1.5,
                "encoder_repetition_penalty": 1.1,
                "encoder_no_repeat_ngram_size": 2,
                "exponential_decay_length_penalty": 5,
                "sequence_bias": {},
                "stop_strings": "x",
                "max_time": 2.0,
                "watermarking_config": {},
            }.items()
        ],
        ("decoder", {"do_sample": True, "num_beams": 2}, "do_sample with num_beams=2"),
        ("decoder", {"num_return_sequences": 2}, "num_return_sequences=2"),
        ("decoder", {"num_beams": 2, "num_return_sequences": 3}, "beams >= n_best"),
        ("decoder", {"num_beams": 2, "length_penalty": -1.0}, "length_penalty=-1.0"),
        ("decoder", {"num_beams": 2, "early_stopping": "soon"}, "early_stopping='soon'"),
        ("decoder", {"num_beams": "two"}, "not supported between"),
        ("decoder", {"do_sample": True, "temperature": 0.0}, "temperature=0.0"),
        ("decoder", {"min_length": 9}, "min_new_tokens.*min_length=9"),
        ("decoder", {"forced_bos_token_id": 1}, "forced_bos_token_id=1"),
        ("decoder", {"forced_eos_token_id": 1, "max_length": 9}, "forced_eos_token_id=1"),
        ("decoder", {"bad_words_ids": [[]]}, "at least two tokens"),
        ("seq2seq", {}, "expected a decoder_start_token_id"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(folders, kind, settings, message):
    with pytest.raises(kt.zoo.ZooError, match=f"generation_config.json: .*{message}"):
        load(folders[kind], settings)


def test_a_model_that_does_not_generate(tmp_path):
    config = kt.TransformerConfig.preset(
        "bert_tiny", num_layers=1, hidden_dim=8, intermediate_dim=16, vocabulary_size=9
    )
    kt.zoo.save(kt.models.encoder_only(config), tmp_path)
    with pytest.raises(kt.zoo.ZooError, match=r"a model that generates.*BertModel"):
        kt.zoo.load_generator(tmp_path)


# Against the reference.

SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 40,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GROUPED = {**SIZES, "num_key_value_heads": 1}
GPT2 = {"vocab_size": VOCABULARY, "n_positions": 40, "n_embd": 12, "n_layer": 2, "n_head": 3}
SEQ2SEQ = {
    "vocab_size": VOCABULARY,
    "d_model": 24,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": 60,
    "decoder_ffn_dim": 60,
    "max_position_embeddings": 40,
    "decoder_start_token_id": PAD,
    "pad_token_id": PAD,
    "eos_token_id": 0,
    "forced_eos_token_id": None,
    "tie_word_embeddings": False,  # else the same is said again and again
}
MODELS = {
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", GPT2),
    "llama": ("LlamaForCausalLM", "LlamaConfig", GROUPED),
    "mistral": ("MistralForCausalLM", "MistralConfig", {**GROUPED, "sliding_window": 4}),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", GROUPED),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", {**GROUPED, "head_dim": 4}),
    "marian": ("MarianMTModel", "MarianConfig", {**SEQ2SEQ, "scale_embedding": True}),
    "bart": ("BartForConditionalGeneration", "BartConfig", SEQ2SEQ),
}


def reference(transformers, name):
    """A model of transformers that says many different things, and often ends."""
    model_class, config_class, sizes = MODELS[name]
    config = getattr(transformers, config_class)(**sizes)
    model = getattr(transformers, model_class)(config).eval()
    rng = np.random.default_rng(1)
    weights = dict(model.named_parameters())
    spread = 0.5 if config.is_encoder_decoder else 0.8
    for key, weight in weights.items():
        if "embed_positions" in key and name == "marian":  # sinusoids
            continue
        norm = "norm" in key.lower() or "ln_" in key
        center = 1.0 if norm and key.endswith("weight") and name != "gemma" else 0.0
        value = rng.normal(center, spread if weight.ndim > 1 else 0.1, tuple(weight.shape))
        if len(value) == VOCABULARY and weight.ndim > 1:  # else the longest rows say it all
            value /= np.linalg.norm(value, axis=1, keepdims=True)
        weight.data = weight.data.new_tensor(value.astype("float32"))
    if config.is_encoder_decoder:
        for side in (model.model.encoder, model.model.decoder):
            side.embed_tokens.weight.data = model.model.shared.weight.data
        bias = rng.normal(0, 0.1, VOCABULARY) + 1.5 * (np.arange(VOCABULARY) == 0)  # the end
        model.final_logits_bias[0] = model.final_logits_bias.new_tensor(bias)
    return model


def generated(transformers, model, rows, folder, settings):
    """What the reference says after rows: `(new tokens (B, n, L), scores (B, n) or None)`.

    Saves it with the settings; sources are padded on the right, prompts on the left.
    """
    own = model.generation_config.to_dict()
    own = {name: own[name] for name in own if name.endswith("token_id") and own[name] is not None}
    model.generation_config = transformers.GenerationConfig(**{**own, **settings})
    model.save_pretrained(folder)
    return generate(model, rows)


def generate(model, rows):
    """As `generated`, of a model with settings."""
    import torch

    length = max(map(len, rows))
    seq2seq = model.config.is_encoder_decoder
    ids = np.full((len(rows), length), PAD)
    mask = np.zeros_like(ids)
    for row, filled, real in zip(rows, ids, mask, strict=True):
        place = slice(len(row)) if seq2seq else slice(length - len(row), None)
        filled[place], real[place] = row, 1
    found = model.generate(
        torch.tensor(ids),
        attention_mask=torch.tensor(mask),
        return_dict_in_generate=True,
        output_scores=True,
    )
    new = found.sequences.numpy()[:, 1 if seq2seq else length :]
    new = new.reshape(len(rows), -1, new.shape[-1])
    scores = getattr(found, "sequences_scores", None)
    return new, None if scores is None else scores.numpy().reshape(new.shape[:2])


def random_rows(count, longest, seed=0):
    rng = np.random.default_rng(seed)
    lengths = [longest, *rng.integers(1, longest + 1, count - 1)]
    return [rng.integers(3, PAD, length) for length in lengths]


def new_tokens(generator, rows):
    """As `generated`, of ours."""
    found, scores = generator.n_best(rows)
    if not generator.encoder:
        found = [
            [one[len(row) : len(row) + found.shape[-1] - max(map(len, rows))] for one in group]
            for row, group in zip(rows, found, strict=True)
        ]
    return np.array(found), scores


def assert_same(found, expected, pad=PAD):
    """The reference leaves out places that are padding in all rows."""
    length = expected.shape[-1]
    np.testing.assert_array_equal(found[..., :length], expected)
    assert (found[..., length:] == pad).all()


# To the reference its padding before a prompt is text that an n-gram may repeat: no word is PAD.
GREEDY = {
    "gpt2": {"max_new_tokens": 12},
    "llama": {"max_new_tokens": 12, "eos_token_id": [2, 5, 7, 11]},
    "mistral": {"max_length": 20},
    "qwen2": {"max_new_tokens": 12, "repetition_penalty": 1.5, "min_new_tokens": 3},
    "gemma": {"max_length": 20, "no_repeat_ngram_size": 2, "bad_words_ids": [[PAD], [8, 9]]},
    "marian": {"max_length": 12, "forced_eos_token_id": 0},
    "bart": {"max_length": 12, "forced_bos_token_id": 7, "suppress_tokens": [6]},
}


@pytest.mark.parametrize("name", GREEDY)
def test_greedy_search_equals_transformers(transformers, tmp_path, name):
    model = reference(transformers, name)
    rows = random_rows(16, 8)
    settings = {"pad_token_id": PAD, **GREEDY[name]}
    expected, _ = generated(transformers, model, rows, tmp_path, settings)
    found, _ = new_tokens(kt.zoo.load_generator(tmp_path), rows)
    assert_same(found, expected)
    assert len(np.unique(expected)) > 7 and len(np.unique(expected, axis=0)) > 7


@pytest.mark.parametrize("name", ["llama", "marian", "bart"])
def test_a_folder_saved_again_generates_the_same(transformers, tmp_path, name):
    settings = {
        "llama": {"pad_token_id": PAD, **GREEDY["llama"]},
        "marian": {"max_length": 12, "num_beams": 4, "bad_words_ids": [[PAD]]},
        "bart": {"max_length": 12, **RULES, "early_stopping": True},
    }[name]
    rows = random_rows(8, 8)
    expected, _ = generated(
        transformers, reference(transformers, name), rows, tmp_path / "theirs", settings
    )
    model = kt.zoo.load(tmp_path / "theirs")
    kt.zoo.save(tiny.reload(model, tmp_path), tmp_path / "ours")
    found, _ = new_tokens(kt.zoo.load_generator(tmp_path / "ours"), rows)
    assert_same(found, expected)
    theirs = getattr(transformers, MODELS[name][0]).from_pretrained(tmp_path / "ours").eval()
    assert_same(generate(theirs, rows)[0], expected)
    paths = [tmp_path / folder / "generation_config.json" for folder in ("theirs", "ours")]
    assert len({json.dumps(json.loads(path.read_text())) for path in paths}) == 1


RULES = {
    "num_beams": 4,
    "num_return_sequences": 2,
    "min_length": 5,
    "no_repeat_ngram_size": 2,
    "repetition_penalty": 1.3,
    "bad_words_ids": [[PAD], [8], [6, 4], [10, 11, 12]],
    "forced_bos_token_id": 5,
    "forced_eos_token_id": 0,
    "suppress_tokens": [15],
    "begin_suppress_tokens": [14],
    "renormalize_logits": True,
}
BEAMS = {
    "never": {
        "num_beams": 4,
        "num_return_sequences": 3,
        "early_stopping": "never",
        "eos_token_id": [0, 1, 10, 18, 22, 28],  # of what is said most
    },
    "heuristic": {"num_beams": 4, "num_return_sequences": 4},
    "first": {"num_beams": 3, "early_stopping": True, "length_penalty": 2.0},
    "rules": {**RULES, "early_stopping": "never"},
    "not renormalized": {**RULES, "renormalize_logits": False},
}


@pytest.mark.parametrize(
    "name, case",
    [
        *[("marian", case) for case in ("never", "heuristic", "first", "rules")],
        ("bart", "not renormalized"),
    ],
)
def test_beam_search_equals_transformers(transformers, tmp_path, name, case):
    model = reference(transformers, name)
    rows = random_rows(INPUTS, 8)
    settings = {"max_length": 12, **BEAMS[case]}
    expected, expected_scores = generated(transformers, model, rows, tmp_path, settings)
    found, scores = new_tokens(kt.zoo.load_generator(tmp_path), rows)
    assert_same(found, expected)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-4)
    assert len(np.unique(expected)) > 15 and len(np.unique(expected[:, 0], axis=0)) > 12
    assert (expected[:, 0, -1] == PAD).sum() > 5  # that many end before the last place


def test_sampling_draws_from_what_transformers_draws_from(transformers, folders):
    import torch

    settings = {"do_sample": True, "temperature": 0.7, "top_k": 12, "top_p": 0.8, "min_p": 0.05}
    generator = load(folders["decoder"], settings)
    logits = np.random.default_rng(0).normal(size=(INPUTS, VOCABULARY)).astype("float32")
    found, expected = tiny.ops.convert_to_tensor(logits), torch.tensor(logits)
    for rule in generator.rules:
        found = rule(found, None)
    for name in ("Temperature", "TopK", "TopP", "MinP"):
        warper = getattr(transformers, f"{name}LogitsWarper")
        value = settings[
            {"TopK": "top_k", "TopP": "top_p", "MinP": "min_p"}.get(name, "temperature")
        ]
        expected = warper(value)(None, expected)
    found = torch.tensor(tiny.numpy(found)).softmax(-1).numpy()
    np.testing.assert_allclose(found, expected.softmax(-1).numpy(), atol=1e-6)
    assert 12 > (found > 0).sum(-1).max() > (found > 0).sum(-1).min()


def test_a_random_sampler_with_one_choice_is_greedy_search(folders):
    rows, one = random_rows(4, 5), {"max_new_tokens": 6, "do_sample": True, "top_k": 1}
    with tiny.without_tracing():
        found = load(folders["decoder"], one)(rows)
        expected = load(folders["decoder"], {"max_new_tokens": 6})(rows)
    np.testing.assert_array_equal(found, expected)
    assert isinstance(TopK(1), TopK)
