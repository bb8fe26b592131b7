"""Published models say the same here as in transformers, and ours the same there."""

import json
import re

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import keras_transformer as kt

reason = "needs the extra `parity`: transformers and torch"
torch = pytest.importorskip("torch", reason=reason)
transformers = pytest.importorskip("transformers", reason=reason)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

SIZES = {
    "vocab_size": 40,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 24,
}
ONE_TYPE = {**SIZES, "type_vocab_size": 1}
GROUPED = {**SIZES, "num_key_value_heads": 1}
DISTILBERT = {
    "vocab_size": 40,
    "dim": 12,
    "n_layers": 2,
    "n_heads": 3,
    "hidden_dim": 20,
    "max_position_embeddings": 24,
}
GPT2 = {"vocab_size": 40, "n_positions": 24, "n_embd": 12, "n_layer": 2, "n_head": 3}
SEQ2SEQ = {
    "vocab_size": 40,
    "d_model": 12,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_ffn_dim": 20,
    "decoder_ffn_dim": 20,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 3,
    "max_position_embeddings": 24,
}
MARIAN = {**SEQ2SEQ, "pad_token_id": 39, "decoder_start_token_id": 39}
LINEAR = {"rope_type": "linear", "rope_theta": 500.0, "factor": 4.0}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 500.0,
    "factor": 4.0,
    "original_max_position_embeddings": 8,
}

# name: (architecture, settings)
CASES = {
    "bert": ("BertModel", SIZES),
    "bert_one_type": ("BertModel", {**SIZES, "type_vocab_size": 1, "hidden_act": "relu"}),
    "bert_masked": ("BertForMaskedLM", {**SIZES, "hidden_act": "gelu_new"}),
    "bert_masked_untied": ("BertForMaskedLM", {**SIZES, "tie_word_embeddings": False}),
    "bert_pretraining": ("BertForPreTraining", SIZES),
    "bert_classes": ("BertForSequenceClassification", {**SIZES, "num_labels": 3}),
    "bert_two_classes": ("BertForSequenceClassification", {**SIZES, "pad_token_id": 5}),
    "bert_one_class": ("BertForSequenceClassification", {**SIZES, "num_labels": 1}),
    "bert_tokens": ("BertForTokenClassification", {**SIZES, "num_labels": 5}),
    "bert_one_token_class": ("BertForTokenClassification", {**ONE_TYPE, "num_labels": 1}),
    "bert_answers": ("BertForQuestionAnswering", SIZES),
    "roberta": ("RobertaModel", {**SIZES, "num_hidden_layers": 1}),
    "roberta_masked": (
        "RobertaForMaskedLM",
        {**SIZES, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 4},
    ),
    "roberta_masked_untied": ("RobertaForMaskedLM", {**SIZES, "tie_word_embeddings": False}),
    "roberta_classes": (
        "RobertaForSequenceClassification",
        {**SIZES, "type_vocab_size": 1, "num_labels": 3},
    ),
    "roberta_one_class": ("RobertaForSequenceClassification", {**SIZES, "num_labels": 1}),
    "roberta_tokens": ("RobertaForTokenClassification", {**ONE_TYPE, "num_labels": 5}),
    "roberta_answers": ("RobertaForQuestionAnswering", {**ONE_TYPE, "pad_token_id": 3}),
    "xlm-roberta": ("XLMRobertaModel", ONE_TYPE),
    "xlm-roberta_masked": ("XLMRobertaForMaskedLM", {**ONE_TYPE, "layer_norm_eps": 1e-5}),
    "xlm-roberta_classes": ("XLMRobertaForSequenceClassification", {**ONE_TYPE, "num_labels": 1}),
    "xlm-roberta_tokens": ("XLMRobertaForTokenClassification", {**ONE_TYPE, "num_labels": 9}),
    "xlm-roberta_answers": ("XLMRobertaForQuestionAnswering", ONE_TYPE),
    "camembert": ("CamembertModel", ONE_TYPE),
    "camembert_masked": ("CamembertForMaskedLM", {**ONE_TYPE, "layer_norm_eps": 1e-5}),
    "camembert_classes": ("CamembertForSequenceClassification", {**ONE_TYPE, "num_labels": 3}),
    "camembert_tokens": ("CamembertForTokenClassification", ONE_TYPE),
    "camembert_answers": ("CamembertForQuestionAnswering", ONE_TYPE),
    "distilbert": ("DistilBertModel", DISTILBERT),
    "distilbert_masked": (
        "DistilBertForMaskedLM",
        {**DISTILBERT, "sinusoidal_pos_embds": True, "n_heads": 2},
    ),
    "distilbert_masked_untied": (
        "DistilBertForMaskedLM",
        {**DISTILBERT, "tie_word_embeddings": False, "activation": "relu"},
    ),
    "distilbert_classes": ("DistilBertForSequenceClassification", {**DISTILBERT, "num_labels": 4}),
    "distilbert_one_class": (
        "DistilBertForSequenceClassification",
        {**DISTILBERT, "num_labels": 1},
    ),
    "distilbert_tokens": ("DistilBertForTokenClassification", {**DISTILBERT, "num_labels": 5}),
    "distilbert_answers": ("DistilBertForQuestionAnswering", DISTILBERT),
    "gpt2": ("GPT2LMHeadModel", GPT2),
    "gpt2_states": ("GPT2Model", {**GPT2, "tie_word_embeddings": False}),
    "gpt2_base": ("GPT2Model", GPT2),
    "gpt2_untied": (
        "GPT2LMHeadModel",
        {**GPT2, "n_inner": 20, "tie_word_embeddings": False, "activation_function": "relu"},
    ),
    "gpt2_upcast": ("GPT2LMHeadModel", {**GPT2, "n_head": 1, "reorder_and_upcast_attn": True}),
    "llama": (
        "LlamaForCausalLM",
        {**GROUPED, "attention_bias": True, "mlp_bias": True, "rope_parameters": LLAMA3},
    ),
    "llama_tied": (
        "LlamaForCausalLM",
        {**GROUPED, "head_dim": 6, "tie_word_embeddings": True, "rope_parameters": LINEAR},
    ),
    "llama_states": ("LlamaModel", GROUPED),
    "llama_base": ("LlamaModel", {**GROUPED, "tie_word_embeddings": True}),
    "llama_yarn": (
        "LlamaForCausalLM",
        {**SIZES, "attention_bias": True, "rope_parameters": YARN},
    ),
    "llama_yarn_set": (
        "LlamaForCausalLM",
        {
            **GROUPED,
            "mlp_bias": True,
            "rope_parameters": {**YARN, "attention_factor": 1.5, "beta_fast": 8, "beta_slow": 2},
        },
    ),
    "mistral_window": ("MistralForCausalLM", {**GROUPED, "sliding_window": 3}),
    "mistral": ("MistralForCausalLM", {**GROUPED, "sliding_window": None, "head_dim": 8}),
    "mistral_tied": (
        "MistralForCausalLM",
        {**SIZES, "num_key_value_heads": 3, "tie_word_embeddings": True, "hidden_act": "gelu"},
    ),
    "mistral_states": ("MistralModel", {**GROUPED, "sliding_window": 3}),
    "qwen2_states": ("Qwen2Model", GROUPED),
    "qwen2_tied": ("Qwen2ForCausalLM", {**GROUPED, "tie_word_embeddings": True}),
    "qwen2_window": (
        "Qwen2ForCausalLM",
        {**GROUPED, "use_sliding_window": True, "sliding_window": 3, "max_window_layers": 0},
    ),
    "qwen2_yarn": (
        "Qwen2ForCausalLM",
        {**SIZES, "num_key_value_heads": 3, "rope_parameters": YARN},
    ),
    "gemma": ("GemmaForCausalLM", {**GROUPED, "head_dim": 8}),
    "gemma_untied": (
        "GemmaForCausalLM",
        {**GROUPED, "head_dim": 4, "attention_bias": True, "tie_word_embeddings": False},
    ),
    "gemma_states": ("GemmaModel", {**GROUPED, "head_dim": 4, "tie_word_embeddings": False}),
    "gemma_first_files": (
        "GemmaForCausalLM",
        {**SIZES, "num_key_value_heads": 3, "head_dim": 6, "hidden_act": "gelu"},
    ),
    "marian": (
        "MarianMTModel",
        {**MARIAN, "scale_embedding": True, "activation_function": "swish"},
    ),
    "marian_odd_size": ("MarianMTModel", {**MARIAN, "d_model": 15, "decoder_layers": 1}),
    "marian_base": ("MarianModel", {**MARIAN, "encoder_layers": 1}),
    "bart": ("BartForConditionalGeneration", SEQ2SEQ),
    "bart_scaled": (
        "BartForConditionalGeneration",
        {**SEQ2SEQ, "decoder_layers": 3, "scale_embedding": True, "activation_function": "relu"},
    ),
    "bart_untied": ("BartForConditionalGeneration", {**SEQ2SEQ, "tie_word_embeddings": False}),
    "bart_base": ("BartModel", {**SEQ2SEQ, "encoder_layers": 1}),
}
# Ours have them where the token table says how.
WITHOUT_LOGITS = ("BartModel", "MarianModel", "GPT2Model", "LlamaModel")


def make(name, seed=0):
    """A model of transformers with random weights."""
    architecture, settings = CASES[name]
    made = getattr(transformers, architecture)
    model = made(made.config_class(**settings)).eval()
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight, values in model.named_parameters():
            if not (name.startswith("marian") and "embed_positions" in weight):  # sinusoids
                # Heads of one or two classes would say nearly the same of all that there is.
                is_head = re.match(r"(classifier|qa_outputs)(\.out_proj)?\.weight", weight)
                values.copy_(torch.randn_like(values) * (20 if is_head else 0.3))
        for weight, values in model.named_buffers():
            if weight == "final_logits_bias":
                values.copy_(torch.randn_like(values))
        tables = getattr(model, "model", None)
        if name == "bart_untied":  # ours have one table for both sides, and another for logits
            for side in (tables.encoder, tables.decoder):
                side.embed_tokens.weight.copy_(tables.shared.weight)
    return model


def make_inputs(model):
    """`{name in transformers: ids}`, padded on the right, and which positions are real."""
    config = model.config
    pad = 0 if config.pad_token_id is None else config.pad_token_id
    rng = np.random.default_rng(1)
    ordinary = [i for i in range(config.vocab_size) if i != pad]

    def ids(lengths, width):
        real = np.arange(width) < np.array(lengths)[:, None]
        return np.where(real, rng.choice(ordinary, real.shape), pad), real

    token_ids, real = ids([8, 5, 3], 8)
    inputs = {"input_ids": token_ids, "attention_mask": real.astype(int)}
    if config.is_encoder_decoder:
        inputs["decoder_input_ids"], real = ids([6, 2, 4], 6)
    if getattr(config, "type_vocab_size", 1) > 1:
        inputs["token_type_ids"] = rng.integers(0, 2, token_ids.shape)
    return inputs, real


def say_theirs(model, inputs):
    """The outputs that ours has too, in order."""
    with torch.no_grad():
        outputs = model(**{name: torch.tensor(ids) for name, ids in inputs.items()})
        if type(model).__name__ in WITHOUT_LOGITS and model.config.tie_word_embeddings:
            hidden = outputs.last_hidden_state
            outputs = {"logits": hidden @ model.get_input_embeddings().weight.T}
    names = (
        "last_hidden_state",
        "pooler_output",
        "logits",
        "prediction_logits",
        "seq_relationship_logits",
        "start_logits",
        "end_logits",
    )
    return [outputs[n].float().numpy() for n in names if n in outputs and outputs[n] is not None]


def say_ours(model, inputs):
    token_ids = inputs["input_ids"]
    ours = {
        "token_ids": token_ids,
        "source_ids": token_ids,
        "target_ids": inputs.get("decoder_input_ids"),
        "segment_ids": inputs.get("token_type_ids"),
        "masked_positions": np.tile(np.arange(token_ids.shape[1]), (len(token_ids), 1)),
    }
    arrays = [ours[tensor.name].astype("int32") for tensor in model.inputs]
    outputs = model(arrays if isinstance(model.input, list) else arrays[0])
    outputs = outputs if isinstance(outputs, list) else [outputs]
    return [keras.ops.convert_to_numpy(keras.ops.cast(x, "float32")) for x in outputs]


def assert_same(theirs, ours, tolerance=1e-4):
    """Both say the same at the real positions, and something."""
    inputs, real = make_inputs(theirs)
    for one, other in zip(say_theirs(theirs, inputs), say_ours(ours, inputs), strict=True):
        one, other = (x[real] if x.shape[:2] == real.shape else x for x in (one, other))
        assert one.std() > 0.05
        np.testing.assert_allclose(other, one, rtol=0, atol=tolerance)


def load_theirs(folder):
    """What transformers makes of our folder, without a word of complaint."""
    settings = json.loads((folder / "config.json").read_text())
    made = getattr(transformers, settings["architectures"][0])
    model, said = made.from_pretrained(folder, output_loading_info=True)
    assert not any(said.values()), said
    return model.eval()


@pytest.mark.parametrize("name", CASES)
def test_there_and_back(name, tmp_path):
    theirs = make(name)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = kt.zoo.load(tmp_path / "theirs")
    assert ours.name == theirs.config.model_type
    assert_same(theirs, ours)
    kt.zoo.save(ours, tmp_path / "ours")
    assert_same(load_theirs(tmp_path / "ours"), ours)


def test_every_family_has_three_cases():
    kinds = [getattr(transformers, made).config_class.model_type for made, _ in CASES.values()]
    assert all(kinds.count(family) >= 3 for family in kt.zoo.families.FAMILIES)


def test_a_model_of_ours_that_no_one_published(tmp_path):
    config = kt.TransformerConfig(
        40, 2, 1, 3, 12, 20, max_sequence_length=24, num_segments=2, embedding_norm=True,
        position="learned", scale_embedding=False, activation="gelu", pooler=True,
    )  # fmt: skip
    model = kt.models.masked_language_model(config, next_sentence=True)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.3, weight.shape))
    kt.zoo.save(model, tmp_path)
    assert_same(load_theirs(tmp_path), model)


def test_an_encoder_without_a_pooler(tmp_path):
    theirs = transformers.BertModel(transformers.BertConfig(**SIZES), add_pooling_layer=False)
    theirs.eval().save_pretrained(tmp_path)
    ours = kt.zoo.load(tmp_path)
    assert not isinstance(ours.output, list)
    assert_same(theirs, ours)


@pytest.mark.parametrize("name", ["bert_pretraining", "gpt2", "llama", "marian", "bart"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_files(name, dtype, tmp_path):
    theirs = make(name).to(getattr(torch, dtype))
    theirs.save_pretrained(tmp_path)
    ours = kt.zoo.load(tmp_path)
    assert {weight.dtype for weight in ours.trainable_weights} == {"float32"}
    assert_same(theirs.float(), ours)


@pytest.mark.parametrize("name", ["bert_masked", "gemma", "bart"])
def test_half_precision_models(name, tmp_path):
    theirs = make(name)
    theirs.save_pretrained(tmp_path)
    ours = kt.zoo.load(tmp_path, dtype="bfloat16")
    assert {weight.dtype for weight in ours.trainable_weights} == {"bfloat16"}
    assert keras.config.dtype_policy().name == "float32"
    scale = np.abs(say_theirs(theirs, make_inputs(theirs)[0])[0]).max()
    assert_same(theirs, ours, tolerance=0.05 * scale)


@pytest.mark.parametrize("name", ["roberta_classes", "llama_tied", "marian"])
def test_shards(name, tmp_path):
    theirs = make(name)
    theirs.save_pretrained(tmp_path, max_shard_size="3KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    assert_same(theirs, kt.zoo.load(tmp_path))


def rename(folder, change):
    file = folder / "model.safetensors"
    tensors = {change(name): array for name, array in load_file(file).items()}
    save_file(tensors, file)
    return tensors


def old_name(name):
    name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
    return name.replace("LayerNorm.bias", "LayerNorm.beta")


@pytest.mark.parametrize("name", ["bert_pretraining", "distilbert_classes"])
def test_names_of_the_first_files(name, tmp_path):
    theirs = make(name)
    theirs.save_pretrained(tmp_path)
    assert any(key.endswith("LayerNorm.gamma") for key in rename(tmp_path, old_name))
    assert_same(theirs, kt.zoo.load(tmp_path))


@pytest.mark.parametrize(
    "name", ["bert_masked", "roberta_classes", "distilbert_masked", "gpt2", "llama", "bart"]
)
def test_names_without_the_prefix_of_the_base_model(name, tmp_path):
    theirs = make(name)
    theirs.save_pretrained(tmp_path)
    prefix = f"{theirs.base_model_prefix}."
    names = rename(tmp_path, lambda name: name.removeprefix(prefix))
    assert not any(name.startswith(prefix) for name in names)
    assert_same(theirs, kt.zoo.load(tmp_path))


def test_a_head_in_the_file_that_the_architecture_lacks(tmp_path):
    theirs = make("bert_pretraining")
    theirs.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    settings["architectures"] = ["BertForMaskedLM"]
    (tmp_path / "config.json").write_text(json.dumps(settings))
    masked = transformers.BertForMaskedLM.from_pretrained(tmp_path).eval()
    assert_same(masked, kt.zoo.load(tmp_path))


def test_settings_as_they_were_written_before_version_5(tmp_path):
    theirs = make("llama")
    theirs.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    scaling = settings.pop("rope_parameters")
    settings |= {"rope_theta": scaling.pop("rope_theta"), "rope_scaling": scaling}
    scaling["type"] = scaling.pop("rope_type")
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert_same(theirs, kt.zoo.load(tmp_path))
