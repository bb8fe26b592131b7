import random
import re
import subprocess
import sys
from itertools import pairwise, product

import pytest

from keras_transformer.recipes import built_in_corpus as corpus
from keras_transformer.recipes.built_in_corpus import (
    ESTAR,
    FEMININE,
    MASCULINE,
    PLURAL,
    SER,
    SINGULAR,
    Clause,
    Phrase,
)


@pytest.fixture(scope="module")
def pairs():
    return corpus.generate_pairs(12_000, seed=1)


@pytest.fixture(scope="module")
def splits():
    return corpus.split_pairs(8_000, 200, 300, seed=2)


def words(texts):
    return {word for text in texts for word in re.findall(r"[\w-]+", text.lower())}


def find_noun(english):
    return next(noun for noun in corpus.NOUNS if noun.english[SINGULAR] == english)


def find_verb(english, portuguese):
    found = [verb for verb in corpus.VERBS if verb.portuguese == portuguese]
    return next(verb for verb in found if verb.english[0] == english)


def make_phrase(determiner, noun, number=SINGULAR, adjective=None):
    """determiner: its English form for the number."""
    found = [word for word in corpus.DETERMINERS if word.english[number] == determiner]
    named = [word for word in corpus.ADJECTIVES if word.english == adjective]
    return corpus.noun_phrase(find_noun(noun), found[0], number, *named)


def say(subject, english, portuguese, *rest, tense="present", ask=None, **features):
    verbs = {"ser": SER, "estar": ESTAR, "haver": corpus.HAVER}
    verb = verbs.get(portuguese) or find_verb(english, portuguese)
    clause = Clause(subject, verb, corpus.concatenate(*rest), tense, **features)
    if ask is None:
        return corpus.sentence(".", corpus.statement(clause))
    return corpus.sentence("?", corpus.question(clause, ask))


def after(prepositions, phrase):
    return corpus.prepositional_phrase(corpus.Slot(*prepositions.split("/"), []), phrase)


ME, YOU, WE = corpus.SPEAKERS
HE, SHE, THEY, NOTHING = corpus.HE, corpus.SHE, corpus.THEY, corpus.NOTHING
WHAT = Phrase("what", "o que")
HAND_CHECKED = [
    (
        say(
            make_phrase("the", "girl", PLURAL),
            "",
            "estar",
            after("at/em", make_phrase("the", "beach")),
            negative=True,
        ),
        ("The girls are not at the beach.", "As meninas não estão na praia."),
    ),
    (
        say(
            make_phrase("her", "brother"),
            "need",
            "precisar",
            after("/de", make_phrase("a", "car", adjective="old")),
            ask=NOTHING,
        ),
        ("Does her brother need an old car?", "O irmão dela precisa de um carro velho?"),
    ),
    (
        say(ME, "play", "tocar", make_phrase("two", "flute", PLURAL), tense="past"),
        ("I played two flutes.", "Eu toquei duas flautas."),
    ),
    (
        say(SHE, "go", "ir", after("to/a", make_phrase("that", "hotel")), tense="future"),
        ("She will go to that hotel.", "Ela irá àquele hotel."),
    ),
    (
        say(
            WE,
            "walk",
            "caminhar",
            after("through/por", make_phrase("the", "city", PLURAL)),
            progressive=True,
        ),
        ("We are walking through the cities.", "Nós estamos caminhando pelas cidades."),
    ),
    (
        say(THEY, "bring", "trazer", ask=WHAT, tense="past"),
        ("What did they bring?", "O que eles trouxeram?"),
    ),
    (
        say(
            YOU, "know", "conhecer", make_phrase("my", "aunt", PLURAL), tense="past", negative=True
        ),
        ("You did not know my aunts.", "Você não conhecia minhas tias."),
    ),
    (
        say(make_phrase("these", "shoe", PLURAL), "", "ser", Phrase("German", "alemães")),
        ("These shoes are German.", "Estes sapatos são alemães."),
    ),
    (
        say(
            make_phrase("the", "captain", PLURAL),
            "wash",
            "lavar",
            make_phrase("those", "truck", PLURAL, "blue"),
            tense="future",
            ask=NOTHING,
        ),
        (
            "Will the captains wash those blue trucks?",
            "Os capitães vão lavar aqueles caminhões azuis?",
        ),
    ),
    (
        say(HE, "carry", "carregar", make_phrase("several", "key", PLURAL, "new")),
        ("He carries several new keys.", "Ele carrega várias chaves novas."),
    ),
    (
        say(
            make_phrase("a", "orange"),
            "",
            "estar",
            after("in/em", make_phrase("my", "kitchen")),
            tense="past",
        ),
        ("An orange was in my kitchen.", "Uma laranja estava em minha cozinha."),
    ),
    (
        say(ME, "know", "saber", negative=True, tense="past", progressive=False, ask=corpus.WHY),
        ("Why did I not know?", "Por que eu não sabia?"),
    ),
    (
        say(
            Phrase("there", "", number=PLURAL),
            "be",
            "haver",
            make_phrase("three", "loaf", PLURAL),
            after("on/em cima de", make_phrase("this", "table")),
            ask=NOTHING,
        ),
        ("Are there three loaves on this table?", "Há três pães em cima desta mesa?"),
    ),
]


@pytest.mark.parametrize(("made", "expected"), HAND_CHECKED, ids=[e[0] for _, e in HAND_CHECKED])
def test_features_make_the_sentence_a_translator_writes(made, expected):
    assert made == expected


@pytest.mark.parametrize(
    ("infinitive", "tense", "forms"),
    [
        ("falar", "present", "falo fala falamos falam"),
        ("comer", "past", "comi comeu comemos comeram"),
        ("abrir", "imperfect", "abria abria abríamos abriam"),
        ("chegar", "past", "cheguei chegou chegamos chegaram"),
        ("abraçar", "past", "abracei abraçou abraçamos abraçaram"),
        ("conhecer", "present", "conheço conhece conhecemos conhecem"),
        ("dirigir", "present", "dirijo dirige dirigimos dirigem"),
        ("tocar", "present", "toco toca tocamos tocam"),
        ("ser", "imperfect", "era era éramos eram"),
        ("ver", "present", "vejo vê vemos veem"),
        ("dizer", "past", "disse disse dissemos disseram"),
    ],
)
def test_verbs_are_conjugated(infinitive, tense, forms):
    persons = [ME, HE, WE, THEY]
    assert [corpus.conjugate(infinitive, tense, person) for person in persons] == forms.split()
    assert corpus.conjugate(infinitive, tense, YOU) == corpus.conjugate(infinitive, tense, HE)


def test_plurals_follow_their_rules_or_are_listed():
    english = words(["men cities children knives monkeys pianos potatoes churches buses foxes"])
    assert english <= {noun.english[PLURAL] for noun in corpus.NOUNS}
    portuguese = words(["homens animais irmãos leões capitães flores lápis anéis jardins países"])
    assert portuguese <= {noun.portuguese[PLURAL] for noun in corpus.NOUNS}


def test_a_seed_gives_the_same_pairs_and_another_gives_others(pairs):
    assert corpus.generate_pairs(500, seed=1) == pairs[:500]
    assert not set(corpus.generate_pairs(500, seed=2)) >= set(pairs[:500])


def test_pairs_are_distinct_in_both_languages(pairs):
    assert len(pairs) == 12_000
    assert len({english for english, _ in pairs}) == len({other for _, other in pairs}) == 12_000


def test_the_grammar_holds_over_100_000_sentences():
    people = [noun.english[0] for noun in corpus.NOUNS if noun.kind == "person"]
    phrases = [make_phrase(*made) for made in product(["the", "this", "a", "another"], people)]
    verbs = [verb for verb in corpus.VERBS if verb.slots and verb.slots[0][:2] == ("", "")]
    verbs = [verb for verb in verbs if verb.takes("person") and "person" in verb.subjects]
    clauses = product(phrases[:60], verbs, phrases[:60], ["past", "present", "future"])
    made = {corpus.statement(Clause(who, verb, whom, tense)) for who, verb, whom, tense in clauses}
    assert len(made) >= 100_000


def test_an_english_sentence_has_one_translation(monkeypatch):
    """Few words, so that long sentences come again and again."""
    few = ["woman", "man", "João", "sister", "dog", "apple", "rice", "tea", "key", "table", "door"]
    few += ["book", "hat", "car", "guitar", "music", "kitchen", "city", "school"]
    monkeypatch.setattr(corpus, "NOUNS", [find_noun(english) for english in few])
    groups = {word.group: word for word in corpus.DETERMINERS}
    monkeypatch.setattr(corpus, "DETERMINERS", list(groups.values()))
    adjectives = {tuple(word.kinds): word for word in corpus.ADJECTIVES}
    monkeypatch.setattr(corpus, "ADJECTIVES", list(adjectives.values()))
    verbs = [verb for verb in corpus.VERBS if verb.english[0] in ("say", "sleep")]
    monkeypatch.setattr(corpus, "VERBS", verbs)
    rng, translations, repeated = random.Random(3), {}, 0
    for draw in [corpus.draw_pair, corpus.draw_two_clauses] * 6_000:
        english, portuguese = draw(rng)
        repeated += english in translations and len(english.split()) > 5
        assert translations.setdefault(english, portuguese) == portuguese
    assert repeated > 100  # or else little was compared


def test_words_are_many_and_sentences_short(pairs):
    for side in (0, 1):
        assert len(words(pair[side] for pair in pairs)) >= 400
    lengths = [len(english.split()) for english, _ in pairs]
    assert min(lengths) >= 2 and max(lengths) == 20


def test_sentences_are_written_as_text(pairs):
    for text in (text for pair in pairs for text in pair):
        assert re.fullmatch(r"[A-ZÀ-Ú][\w-]*(,? [\w-]+)*[.?]", text), text
        assert not re.search(r"\b(None|\w+_\w+)\b", text)


def test_splits_share_no_sentence_and_hold_out_no_word(splits):
    assert [len(part) for part in splits] == [8_000, 200, 300]
    for side in (0, 1):
        texts = [pair[side] for part in splits for pair in part]
        assert len(set(texts)) == len(texts)
        train, valid, test = (words(pair[side] for pair in part) for part in splits)
        assert valid | test <= train
    assert splits == corpus.split_pairs(8_000, 200, 300, seed=2)


def test_a_training_part_too_small_for_the_words_is_refused():
    with pytest.raises(ValueError, match="Received: train=1"):
        corpus.split_pairs(1, 0, 1)


def test_portuguese_articles_and_adjectives_agree_with_their_noun(pairs):
    nouns = {}
    for noun in corpus.NOUNS:
        for number in (SINGULAR, PLURAL) if noun.kind != "name" else ():
            nouns.setdefault(noun.portuguese[number], set()).add((noun.gender, number))
    features = [
        (MASCULINE, SINGULAR),
        (FEMININE, SINGULAR),
        (MASCULINE, PLURAL),
        (FEMININE, PLURAL),
    ]
    articles = "o a os as, do da dos das, no na nos nas, ao à aos às, pelo pela pelos pelas"
    tables = [entry.split() for entry in articles.split(",")]
    tables += [word.portuguese for word in corpus.DETERMINERS]
    before, behind = {}, {}
    inflected = [(table, before) for table in tables]
    adjectives = [word.portuguese for word in corpus.ADJECTIVES]
    inflected += [(forms, behind) for forms in adjectives if "limpa" not in forms]  # also a verb
    for forms, agreeing in inflected:
        for form, feature in zip(forms, features, strict=True):
            agreeing.setdefault(form, set()).add(feature)
    checked = 0
    for _, text in pairs:
        tokens = re.findall(r"[\w-]+", text.lower())
        for first, second in pairwise(tokens):
            for noun, other, agreeing in ((second, first, before), (first, second, behind)):
                if noun in nouns and other in agreeing:
                    checked += 1
                    assert nouns[noun] & agreeing[other], (first, second, text)
    assert checked > 12_000


def test_portuguese_contracts_its_prepositions(pairs):
    loose = (
        r"\b(em|de) (os?|as?|estes?|estas?|aquel\w+)\b|\bpor (os?|as?)\b|\ba (os?|as?|aquel\w+)\b"
    )
    for _, text in pairs:
        assert not re.search(loose, text), text
    everything = words(portuguese for _, portuguese in pairs)
    assert {"na", "deste", "daquelas", "ao", "às", "àquela", "pelos", "neste"} <= everything


def test_english_says_an_before_vowels_and_agrees_in_the_third_person(pairs):
    for english, _ in pairs:
        text = english.lower()
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text), english
        assert not re.search(r"\b(he|she|who) (am|are|were)\b|\b(are|do|were) (he|she)\b", text)
        assert not re.search(
            r"\b(we|they|you) (am|is|was|does)\b|\b(is|was|does) (we|they)\b", text
        )
        assert not re.search(r"^(he|she|who) (go|have|want|like)\b", text), english
        assert not re.search(r"^(i|you|we|they) (goes|has|wants|likes)\b", text), english


def test_adverbs_of_time_fit_the_tense(pairs):
    """Yesterday is never said with will, tomorrow never without it, now only of what is."""
    for english, _ in pairs:
        text = english.lower()
        if "yesterday" in text or "last " in text:
            assert not re.search(r"\b(will|is|are|does|do|am)\b", text), english
        if re.search(r"every|on sundays", text):
            assert not re.search(r"\b(am|is|are)\b|\b(was|were|did|will)\b", text), english
        if re.search(r"\bnow\b|at the moment", text):
            assert re.search(r"\b(am|is|are)\b", text), english
        if "tomorrow" in text or "next week" in text:
            assert "will" in text, english


def test_tenses_are_not_in_the_last_mark():
    texts, tenses = corpus.tenses(600, seed=3)
    assert (texts, tenses) == corpus.tenses(600, seed=3)
    assert len({*texts}) == len(texts) == len(tenses) == 600
    assert {*tenses} == {"past", "present", "future"}
    for mark in ".?":
        found = [tense for text, tense in zip(texts, tenses, strict=True) if text.endswith(mark)]
        most = max(found.count(tense) for tense in {*tenses})
        assert len(found) > 100 and most < 0.5 * len(found)


def test_the_script_prints_pairs():
    command = [sys.executable, corpus.__file__, "3"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [tuple(line.split("\t")) for line in printed.splitlines()] == corpus.generate_pairs(3)
