"""Short names of well-known published checkpoints."""

_IDS = {
    "bert_base_uncased": "google-bert/bert-base-uncased",
    "bert_base_cased": "google-bert/bert-base-cased",
    "bert_base_multilingual_cased": "google-bert/bert-base-multilingual-cased",
    "bert_large_uncased": "google-bert/bert-large-uncased",
    "bert_large_cased": "google-bert/bert-large-cased",
    "roberta_base": "FacebookAI/roberta-base",
    "roberta_large": "FacebookAI/roberta-large",
    "roberta_large_mnli": "FacebookAI/roberta-large-mnli",
    "distilbert_base_uncased": "distilbert/distilbert-base-uncased",
    "distilbert_base_cased": "distilbert/distilbert-base-cased",
    "distilbert_sst2": "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
    "distilroberta_base": "distilbert/distilroberta-base",
    "distilgpt2": "distilbert/distilgpt2",
    "gpt2": "openai-community/gpt2",
    "gpt2_medium": "openai-community/gpt2-medium",
    "gpt2_large": "openai-community/gpt2-large",
    "gpt2_xl": "openai-community/gpt2-xl",
    "tinyllama_1.1b_chat": "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
    "smollm2_135m": "HuggingFaceTB/SmolLM2-135M",
    "smollm2_360m": "HuggingFaceTB/SmolLM2-360M",
    "smollm2_1.7b": "HuggingFaceTB/SmolLM2-1.7B",
    "llama3.1_8b": "meta-llama/Llama-3.1-8B",
    "llama3.2_1b": "meta-llama/Llama-3.2-1B",
    "llama3.2_3b": "meta-llama/Llama-3.2-3B",
    "mistral_7b": "mistralai/Mistral-7B-v0.1",
    "mistral_7b_instruct": "mistralai/Mistral-7B-Instruct-v0.3",
    "qwen2_0.5b": "Qwen/Qwen2-0.5B",
    "qwen2_1.5b": "Qwen/Qwen2-1.5B",
    "qwen2_7b": "Qwen/Qwen2-7B",
    "qwen2.5_0.5b": "Qwen/Qwen2.5-0.5B",
    "qwen2.5_1.5b": "Qwen/Qwen2.5-1.5B",
    "qwen2.5_3b": "Qwen/Qwen2.5-3B",
    "qwen2.5_7b": "Qwen/Qwen2.5-7B",
    "gemma_2b": "google/gemma-2b",
    "gemma_7b": "google/gemma-7b",
    "bart_base": "facebook/bart-base",
    "bart_large": "facebook/bart-large",
    "bart_large_cnn": "facebook/bart-large-cnn",
    "opus_mt_en_de": "Helsinki-NLP/opus-mt-en-de",
    "opus_mt_de_en": "Helsinki-NLP/opus-mt-de-en",
    "opus_mt_en_fr": "Helsinki-NLP/opus-mt-en-fr",
    "opus_mt_fr_en": "Helsinki-NLP/opus-mt-fr-en",
    "opus_mt_en_es": "Helsinki-NLP/opus-mt-en-es",
    "opus_mt_es_en": "Helsinki-NLP/opus-mt-es-en",
    "opus_mt_en_ru": "Helsinki-NLP/opus-mt-en-ru",
    "opus_mt_ru_en": "Helsinki-NLP/opus-mt-ru-en",
    "opus_mt_en_zh": "Helsinki-NLP/opus-mt-en-zh",
    "opus_mt_zh_en": "Helsinki-NLP/opus-mt-zh-en",
    "opus_mt_en_ROMANCE": "Helsinki-NLP/opus-mt-en-ROMANCE",
    "opus_mt_mul_en": "Helsinki-NLP/opus-mt-mul-en",
}


def presets() -> dict[str, str]:
    """The short names that stand for ids on the Hugging Face hub wherever a folder or an id does.

    They name some of the best-known checkpoints; any other id of a supported model type will do as
    well. Some (Llama's and Gemma's) can be had only after their licence was agreed to on the hub,
    and some repositories of opus-mt hold no safetensors file and have to be converted first.

    Returns:
        A dict, short name: hub id.

    Example:

    >>> presets()["opus_mt_en_de"]
    'Helsinki-NLP/opus-mt-en-de'
    """
    return dict(_IDS)
