"""The corpus built into every recipe: English sentences and their Portuguese translations.

A synchronous grammar draws a sentence once, as features (gender, number, person, tense), and
spells it in English and in Brazilian Portuguese. An English sentence has exactly one translation,
and finding it takes agreement, contractions, conjugation and another order of words:

    Does her brother need an old car?   ->  O irmão dela precisa de um carro velho?
    These girls are not at the beach.   ->  Estas meninas não estão na praia.

The file goes from words to sentences: word forms, phrases and clauses, random drawing. The words
themselves are in built_in_lexicon.py.
`python recipes/built_in_corpus.py 20` prints twenty pairs, separated by tabs.
"""

import random
import re
import sys
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

from keras_transformer.checks import require
from keras_transformer.recipes.built_in_lexicon import (
    ADJECTIVE_TABLE,
    CONTRACTION_TABLE,
    DETERMINATION_TABLE,
    DETERMINER_TABLE,
    GROUPS,
    IRREGULAR_VERB_TABLE,
    NOUN_TABLE,
    TIME_TABLE,
    VERB_TABLE,
)

# ---- Word forms. In a list of rules the first one whose pattern is found in the word applies.

ENGLISH_S = [("([^aeiou])y$", r"\1ies"), ("(s|x|ch|sh|o)$", r"\1es"), ("$", "s")]
ENGLISH_ED = [("([^aeiou])y$", r"\1ied"), ("e?$", "ed")]
ENGLISH_ING = [("e?$", "ing")]
PORTUGUESE_S = [("ão$", "ões"), ("m$", "ns"), ("l$", "is"), ("([rz])$", r"\1es"), ("$", "s")]
PORTUGUESE_A = [("o(s?)$", r"a\1"), ("$", "")]
SAME = [("$", "")]
ENDINGS = {  # eu, ele, nós, eles
    "present": {"ar": "o/a/amos/am", "er": "o/e/emos/em", "ir": "o/e/imos/em"},
    "past": {"ar": "ei/ou/amos/aram", "er": "i/eu/emos/eram", "ir": "i/iu/imos/iram"},
    "imperfect": {"ar": "ava/ava/ávamos/avam", "er": "ia/ia/íamos/iam", "ir": "ia/ia/íamos/iam"},
}
JOINTS = {  # stem-ending: the spelling that keeps the sound of the stem, as in toco, toquei
    "ar": [("c-e", "que"), ("g-e", "gue"), ("ç-e", "ce"), ("-", "")],
    "er": [("c-o", "ço"), ("-", "")],
    "ir": [("g-o", "jo"), ("-", "")],
}
BE = {"present": ("am", "is", "are"), "past": ("was", "was", "were")}
SINGULAR, PLURAL = NUMBERS = 0, 1
MASCULINE, FEMININE = 0, 1


def change(word, rules):
    pattern, replacement = next(rule for rule in rules if re.search(rule[0], word))
    return re.sub(pattern, replacement, word, count=1)


def join(*words):
    return " ".join(word for word in words if word)


def contract(preposition, phrase):
    """Joins a Portuguese preposition and what follows it: em + a praia -> na praia."""
    *before, last = preposition.split(" ")
    first, *after = phrase.split(" ")
    return join(*before, CONTRACTIONS.get((last, first), join(last, first)), *after)


def agree(forms, phrase):
    """The form of a determiner or an adjective for the gender and number of a noun phrase."""
    return forms[2 * phrase.number + phrase.gender]


def conjugate(infinitive, tense, subject):
    """The form of a Portuguese verb; você takes that of ele."""
    index = 2 * subject.number + (subject.person != 1)
    if (tense, infinitive) in IRREGULAR:
        return IRREGULAR[tense, infinitive][index]
    stem, theme = infinitive[:-2], infinitive[-2:]
    ending = ENDINGS[tense][theme].split("/")[index]
    return change(f"{stem}-{ending}", JOINTS[theme])


# ---- The lexicon as objects.


class Noun(NamedTuple):
    kind: str
    english: tuple  # singular, plural
    portuguese: tuple
    gender: int


class Determiner(NamedTuple):
    group: str
    english: tuple  # singular, plural
    portuguese: tuple  # masculine and feminine singular, masculine and feminine plural
    after: str = ""  # what Portuguese says behind the noun: o livro dele


class Adjective(NamedTuple):
    copula: str  # ser for what one is, estar for how one is
    kinds: list
    english: str
    portuguese: tuple  # masculine and feminine singular, masculine and feminine plural


class Slot(NamedTuple):
    english: str  # preposition
    portuguese: str
    kinds: list


class Verb(NamedTuple):
    english: tuple  # base, past, -ing, third person
    portuguese: str  # infinitive
    aspect: str  # an event, a lasting state or a passing stage
    subjects: list
    slots: list

    def takes(self, *kinds):
        return any(kind in slot.kinds for slot in self.slots for kind in kinds)


def read_entries(table):
    """Yields the heading and the fields of each entry."""
    for line in table.strip().split("\n"):
        if " = " in line:
            heading, line = line.split(" = ")
        for entry in line.split(","):
            yield heading, entry.split()


def read_forms(forms, *rules):
    """Splits a/b/c, and makes the forms not given from the first one, each by its rules."""
    given = [None if form == "-" else form.replace("_", " ") for form in forms.split("/")]
    return (*given, *(change(given[0], rule) for rule in rules[len(given) - 1 :]))


def read_kinds(names):
    return " ".join(GROUPS.get(name, name) for name in names.split()).split()


def read_adjective(heading, english, forms):
    copula, kinds = heading.split(" ", 1)
    forms = read_forms(forms, PORTUGUESE_S) if forms.count("/") < 2 else read_forms(forms)
    if len(forms) == 2:
        forms = [change(form, rules) for form in forms for rules in (SAME, PORTUGUESE_A)]
    return Adjective(copula, read_kinds(kinds), english, forms)


def read_slot(text):
    prepositions, kinds = text.split(":")
    return Slot(*read_forms(prepositions.strip() or "/"), read_kinds(kinds))


def read_verb(heading, english, portuguese):
    aspect, subjects, slots = heading.split("|")
    slots = [read_slot(slot) for slot in slots.split(";") if slot.strip()]
    english = read_forms(english, ENGLISH_ED, ENGLISH_ING, ENGLISH_S)
    return Verb(english, portuguese, aspect.strip(), read_kinds(subjects), slots)


NOUNS = [
    Noun(kind, read_forms(en, ENGLISH_S), read_forms(pt, PORTUGUESE_S), "mf".index(gender))
    for kind, (en, pt, gender) in read_entries(NOUN_TABLE)
]
DETERMINERS = [
    *(Determiner(group, ("", None), ("",) * 4) for group in ("bare", "proper")),
    *(
        Determiner(group, read_forms(en, SAME), read_forms(pt, SAME, SAME, SAME), *after)
        for group, (en, pt, *after) in read_entries(DETERMINER_TABLE)
    ),
]
DETERMINATION = {
    kind: groups
    for kinds, groups in read_entries(DETERMINATION_TABLE)
    for kind in read_kinds(kinds)
}
NO_ADJECTIVE = Adjective("", [], "", ("",) * 4)
ADJECTIVES = [read_adjective(heading, *entry) for heading, entry in read_entries(ADJECTIVE_TABLE)]
SER = read_verb("state | human |", "be", "ser")
ESTAR = read_verb("stage | human |", "be", "estar")
HAVER = read_verb("state | |", "be", "haver")
VERBS = [read_verb(heading, *entry) for heading, entry in read_entries(VERB_TABLE)]
TIMES = [(tenses, read_forms(entry)) for tenses, (entry,) in read_entries(TIME_TABLE)]
CONTRACTIONS = {
    (preposition, word): merged
    for preposition, (entry,) in read_entries(CONTRACTION_TABLE)
    for word, merged in [entry.split("/")]
}
IRREGULAR = {
    (tense, infinitive): read_forms(forms, SAME, SAME, SAME)
    for tense, (infinitive, forms) in read_entries(IRREGULAR_VERB_TABLE)
}

# ---- Phrases and clauses: features in, both languages out.


class Phrase(NamedTuple):
    """A text in both languages, with the features that other words agree with."""

    english: str = ""
    portuguese: str = ""
    kind: str = "person"
    person: int = 3
    number: int = SINGULAR
    gender: int = MASCULINE


NOTHING = Phrase()
SPEAKERS = [
    Phrase("I", "eu", person=1),
    Phrase("you", "você", person=2),
    Phrase("we", "nós", person=1, number=PLURAL),
]
HE, SHE = Phrase("he", "ele"), Phrase("she", "ela", gender=FEMININE)
THEY = Phrase("they", "eles", number=PLURAL)
THEY_WOMEN = Phrase("they", "elas", number=PLURAL, gender=FEMININE)  # only for women named before
WHO, WHY = Phrase("who", "quem"), Phrase("why", "por que")


@dataclass(frozen=True)
class Clause:
    subject: Phrase
    verb: Verb
    rest: Phrase
    tense: str  # present, past, future
    progressive: bool = False
    negative: bool = False


def concatenate(*phrases):
    return Phrase(*(join(*(phrase[side] for phrase in phrases)) for side in (0, 1)))


def noun_phrase(noun, determiner, number, adjective=NO_ADJECTIVE):
    """The adjective stands before an English noun and after a Portuguese one."""
    phrase = Phrase(kind=noun.kind, number=number, gender=noun.gender)
    article, name = agree(determiner.portuguese, phrase), noun.portuguese[number]
    portuguese = join(article, name, agree(adjective.portuguese, phrase), determiner.after)
    english = join(determiner.english[number], adjective.english, noun.english[number])
    english = re.sub("^a (?=[aeiou])", "an ", english)
    return phrase._replace(english=english, portuguese=portuguese)


def prepositional_phrase(slot, phrase):
    return Phrase(join(slot.english, phrase.english), contract(slot.portuguese, phrase.portuguese))


def english_verb(clause):
    """Auxiliary and main verb, as a question parts them: did, eat; is, eating; will, be."""
    base, _, gerund, _ = clause.verb.english
    if clause.tense == "future":
        return "will", base
    third = clause.subject[3:5] == (3, SINGULAR)
    if clause.progressive or base == "be":
        index = 0 if clause.subject[3:5] == (1, SINGULAR) else 2 - third
        return BE[clause.tense][index], gerund if clause.progressive else ""
    return ("does" if third else "do") if clause.tense == "present" else "did", base


def portuguese_verb(clause):
    verb, tense, subject = clause.verb, clause.tense, clause.subject
    if clause.progressive:
        estar = portuguese_verb(replace(clause, verb=ESTAR, progressive=False))
        return join(estar, verb.portuguese[:-1] + "ndo")
    if tense == "past" and verb.aspect != "event":
        tense = "imperfect"
    if tense == "future" and (tense, verb.portuguese) not in IRREGULAR:
        return join(conjugate("ir", "present", subject), verb.portuguese)
    return conjugate(verb.portuguese, tense, subject)


def statement(clause):
    auxiliary, main = english_verb(clause)
    base, past, _, third = clause.verb.english
    positive = {"do": base, "does": third, "did": past}.get(auxiliary, join(auxiliary, main))
    english = join(auxiliary, "not", main) if clause.negative else positive
    portuguese = join("não" if clause.negative else "", portuguese_verb(clause))
    return concatenate(clause.subject, Phrase(english, portuguese), clause.rest)


def question(clause, asked=NOTHING):
    """English moves its auxiliary before the subject; Portuguese keeps the order."""
    auxiliary, main = english_verb(clause)
    negation = "not" if clause.negative else ""
    english = join(auxiliary, clause.subject.english, negation, main, clause.rest.english)
    return concatenate(asked, Phrase(english, statement(clause).portuguese))


def sentence(mark, *phrases):
    """The finished pair of texts: a capital first, commas in place, the mark last."""
    english, portuguese, *_ = concatenate(*phrases)
    return tuple(
        (text[0].upper() + text[1:] + mark).replace(" ,", ",") for text in (english, portuguese)
    )


# ---- Random drawing.

HUMAN, PLACE = read_kinds("human"), read_kinds("place room")
NOT_HUMAN = [kind for adjective in ADJECTIVES for kind in adjective.kinds if kind not in HUMAN]
PLAIN_EVENTS = [
    verb for verb in VERBS if verb.aspect == "event" and not verb.takes("action", "clause")
]
PLACELESS_EVENTS = [verb for verb in PLAIN_EVENTS if not verb.takes(*PLACE)]
THING_VERBS = [  # with a first complement that may be asked for by "what"
    verb
    for verb in VERBS
    if verb.slots and verb.slots[0][:2] == ("", "") and not verb.takes("person")
]
COUNTED = [kind for kind, groups in DETERMINATION.items() if "interrogative" in groups]
BEING_SOMEWHERE = [verb for verb in VERBS if verb.aspect == "stage"]
ADJUNCTS = [verb.slots[0] for verb in BEING_SOMEWHERE if "person" in verb.subjects]
LATER_TENSE = {"past": "past", "present": "present", "future": "present"}  # of a second clause
KNOWN = ["definite", "possessive", "proper"]  # groups of determiners
ANY = [*KNOWN, "indefinite", "quantity", "bare"]
TENSES = list(LATER_TENSE)
PROGRESSIVE_RATE = {"past": 0.25, "present": 0.6, "future": 0}
LINKS = [Phrase("because", "porque"), Phrase(", but", ", mas"), Phrase("when", "quando")]
ASKED = [  # question word, verbs, how many complements it stands for, tenses
    (Phrase("where", "onde"), BEING_SOMEWHERE, 1, ["past", "present"]),
    (Phrase("where", "onde"), PLACELESS_EVENTS, 0, ["past", "present"]),
    (Phrase("when", "quando"), PLAIN_EVENTS, 0, ["past", "future"]),
    (Phrase("what", "o que"), THING_VERBS, 1, TENSES),
]


def draw_noun_phrase(rng, kinds, groups=ANY, adjective_rate=0.3):
    fitting = {kind: [group for group in DETERMINATION[kind] if group in groups] for kind in kinds}
    noun = rng.choice([noun for noun in NOUNS if fitting.get(noun.kind)])
    group = rng.choice(fitting[noun.kind])
    determiner = rng.choice([word for word in DETERMINERS if word.group == group])
    possible = zip(NUMBERS, noun.english, determiner.english, strict=True)
    number = rng.choice([number for number, *forms in possible if None not in forms])
    adjectives = [word for word in ADJECTIVES if noun.kind in word.kinds]
    if group == "proper" or not adjectives or rng.random() > adjective_rate:
        adjectives = [NO_ADJECTIVE]
    return noun_phrase(noun, determiner, number, rng.choice(adjectives))


def draw_subject(rng, verb, earlier=None, adjective_rate=0.3):
    """After an earlier clause, he, she and they stand for its subject."""
    if "person" not in verb.subjects or rng.random() < 0.6:
        groups = ANY if verb.aspect == "event" else KNOWN
        return draw_noun_phrase(rng, verb.subjects, groups, adjective_rate)
    if earlier is None:
        return rng.choice([*SPEAKERS, HE, SHE, THEY])
    if earlier.person != 3 or earlier.kind not in HUMAN:
        return rng.choice(SPEAKERS)
    return agree([HE, SHE, THEY, THEY_WOMEN], earlier)


def draw_complement(rng, slot, subject, tense):
    if "clause" in slot.kinds:
        phrase = statement(draw_clause(rng, LATER_TENSE[tense], earlier=subject))
    elif "action" in slot.kinds:
        verb = rng.choice(PLAIN_EVENTS)
        rest = [draw_complement(rng, slot, subject, tense) for slot in verb.slots]
        phrase = concatenate(Phrase(verb.english[0], verb.portuguese), *rest)
    else:
        phrase = draw_noun_phrase(rng, slot.kinds)
    return prepositional_phrase(slot, phrase)


def draw_predication(rng, verb, slots, tense, subject=None, earlier=None):
    """A clause around a verb, with complements for the slots."""
    subject = subject or draw_subject(rng, verb, earlier)
    rest = concatenate(*(draw_complement(rng, slot, subject, tense) for slot in slots))
    can_progress = verb.aspect == "event" and verb.english[2] is not None
    progressive = can_progress and rng.random() < PROGRESSIVE_RATE[tense]
    return Clause(subject, verb, rest, tense, progressive)


def draw_description(rng, tense, subject=None, earlier=None):
    """A clause that gives its subject an adjective."""
    described = ESTAR._replace(subjects=rng.choice([HUMAN, NOT_HUMAN]))
    subject = subject or draw_subject(rng, described, earlier, adjective_rate=0)
    adjective = rng.choice([word for word in ADJECTIVES if subject.kind in word.kinds])
    rest = Phrase(adjective.english, agree(adjective.portuguese, subject))
    if subject.kind in HUMAN and rng.random() < 0.2:
        rest = concatenate(Phrase("very", "muito"), rest)
    if adjective.copula == "estar":
        return Clause(subject, ESTAR, rest, tense)
    return Clause(subject, SER, rest, LATER_TENSE[tense])


def draw_clause(rng, tense=None, subject=None, earlier=None):
    tense = tense or rng.choice(TENSES)
    if rng.random() < 0.2:
        return draw_description(rng, tense, subject, earlier)
    verb = rng.choice([verb for verb in VERBS if not subject or subject.kind in verb.subjects])
    adjuncts = [rng.choice(ADJUNCTS)] if verb in PLACELESS_EVENTS and rng.random() < 0.3 else []
    return draw_predication(rng, verb, verb.slots + adjuncts, tense, subject, earlier)


def draw_negation(rng, clause):
    return replace(clause, negative=rng.random() < 0.25)


def draw_time(rng, clause):
    """When it happens, or nothing."""
    verb, tense = clause.verb, clause.tense
    if verb.aspect == "state" or verb.takes("clause") or rng.random() < 0.5:
        return NOTHING
    if tense == "present" and (clause.progressive or verb.aspect == "stage"):
        tense = "progressive"
    return Phrase(*rng.choice([time for tenses, time in TIMES if tense in tenses.split()]))


def draw_statement(rng):
    clause = draw_negation(rng, draw_clause(rng))
    time = draw_time(rng, clause)
    if time != NOTHING and rng.random() < 0.3:
        return sentence(".", time, Phrase(",", ","), statement(clause))
    return sentence(".", statement(clause), time)


def draw_two_clauses(rng):
    first = draw_negation(rng, draw_clause(rng))
    link = rng.choice(LINKS if first.tense == "past" else LINKS[:2])
    second = draw_clause(rng, LATER_TENSE[first.tense], earlier=first.subject)
    return sentence(".", statement(first), link, statement(draw_negation(rng, second)))


def draw_existence(rng):
    verb = rng.choice(BEING_SOMEWHERE)
    what = draw_noun_phrase(rng, verb.subjects, ["indefinite", "quantity"])
    rest = concatenate(what, draw_complement(rng, verb.slots[0], what, "present"))
    there = Phrase("there", "", number=what.number)
    clause = Clause(there, HAVER, rest, rng.choice(["past", "present"]))
    return rng.choice([sentence(".", statement(clause)), sentence("?", question(clause))])


def draw_question(rng):
    clause = draw_negation(rng, draw_clause(rng))
    asked = rng.choice([NOTHING, NOTHING, NOTHING, WHY])
    return sentence("?", question(clause, asked), draw_time(rng, clause))


def draw_who(rng):
    clause = draw_clause(rng, subject=WHO)
    return sentence("?", statement(clause), draw_time(rng, clause))


def draw_question_word(rng):
    asked, verbs, answered, tenses = rng.choice(ASKED)
    verb = rng.choice(verbs)
    clause = draw_predication(rng, verb, verb.slots[answered:], rng.choice(tenses))
    return sentence("?", question(clause, asked))


def draw_how_many(rng):
    verb = rng.choice([verb for verb in THING_VERBS if verb.takes(*COUNTED)])
    asked = draw_noun_phrase(rng, verb.slots[0].kinds, ["interrogative"])
    clause = draw_predication(rng, verb, verb.slots[1:], rng.choice(TENSES))
    return sentence("?", question(clause, asked))


SENTENCES = {  # what to draw, and how often
    draw_statement: 12,
    draw_two_clauses: 6,
    draw_existence: 1,
    draw_question: 5,
    draw_who: 1,
    draw_question_word: 4,
    draw_how_many: 1,
}


def draw_pair(rng):
    """Draws one sentence in both languages."""
    (draw,) = rng.choices(list(SENTENCES), SENTENCES.values())
    return draw(rng)


def distinct_pairs(seed):
    """Yields, without end, pairs of at most 20 English words that share no sentence."""
    rng, seen = random.Random(seed), set()
    while True:
        pair = draw_pair(rng)
        if seen.isdisjoint(pair) and len(pair[0].split()) <= 20:
            seen.update(pair)
            yield pair


def generate_pairs(count, seed=0):
    """Returns `count` distinct (English, Portuguese) pairs, the same ones for the same seed."""
    return list(islice(distinct_pairs(seed), count))


def find_words(pair):
    """The words of a pair, each with the number of its language."""
    return {(side, word) for side in (0, 1) for word in re.findall(r"[\w-]+", pair[side].lower())}


def split_pairs(train, valid, test, seed=0):
    """Returns lists of `train`, `valid` and `test` pairs, no two of which share a sentence.

    Every word of the validation and test pairs occurs in the training pairs.
    """
    pairs = distinct_pairs(seed)
    trained = list(islice(pairs, train))
    known = set().union(*map(find_words, trained))
    candidates = islice(pairs, 1000 * (valid + test))
    held_out = list(
        islice((pair for pair in candidates if find_words(pair) <= known), valid + test)
    )
    expected = "train to be large enough for every word of the other pairs to be in it"
    require(len(held_out) == valid + test, expected, train=train)
    return trained, held_out[:valid], held_out[valid:]


def tenses(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Different English sentences, and the tenses of their main clauses: two lists.

    Half of them have a second clause, of any tense, or a question's order of words; the tense is in
    an auxiliary, in an ending, or in an irregular verb.
    """
    rng, found = random.Random(seed), {}
    while len(found) < count:
        clause = draw_negation(rng, draw_clause(rng))
        time = draw_time(rng, clause)
        kind = rng.choice(["statement", "statement", "question", "two clauses"])
        if kind == "question":
            text, _ = sentence("?", question(clause), time)
        elif kind == "two clauses":
            second = draw_clause(rng, earlier=clause.subject)  # of any tense
            link = rng.choice(LINKS[:2])
            text, _ = sentence(".", statement(clause), link, statement(second))
        else:
            text, _ = sentence(".", statement(clause), time)
        found.setdefault(text, clause.tense)
    return list(found), list(found.values())


if __name__ == "__main__":
    for pair in generate_pairs(int(sys.argv[1]) if len(sys.argv) > 1 else 20):
        print(*pair, sep="\t")
