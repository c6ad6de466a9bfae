"""Forms of English words: singular and plural, participles, verb lemmas."""

import re
from functools import cache

from factory.skills.inflection import engine

NUMBERS = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "twelve": 12,
}

# Nouns that look plural and are not, or that have no other form.
_SAME_FORM = frozenset(
    """aircraft series species news equipment information staff feedback sheep fish deer means headquarters
    premises logistics analytics economics mathematics physics electronics diabetes status bus gas lens atlas
    canvas campus virus bonus census corpus focus locus menus process address access progress class glass mass
    pass boss loss cross address business fitness witness mattress compass chassis basis analysis diagnosis
    thesis crisis emphasis hypothesis synopsis axis oasis alias bias iris tennis chess express congress
    success excess cutlass princess actress waitress hostess goddess wellness illness""".split()
)
_UNCOUNTABLE = frozenset(
    """aircraft series species news equipment information staff feedback sheep fish deer means headquarters premises
    logistics analytics luggage furniture software hardware advice homework""".split()
)
_SINGULAR_EXCEPTIONS = {
    "people": "person",
    "statuses": "status",
    "data": "data",
    "media": "media",
    "criteria": "criterion",
    "analyses": "analysis",
    "diagnoses": "diagnosis",
    "theses": "thesis",
    "crises": "crisis",
    "bases": "base",
    "premises": "premises",
    "menus": "menu",
    "leaves": "leave",
    "lenses": "lens",
    "buses": "bus",
    "gases": "gas",
    "caches": "cache",
    "axes": "axis",
    "indices": "index",
    "vertices": "vertex",
    "matrices": "matrix",
    "appendices": "appendix",
    "staves": "stave",
    "movies": "movie",
    "cookies": "cookie",
    "calories": "calorie",
    "pies": "pie",
    "ties": "tie",
    "zombies": "zombie",
    "selfies": "selfie",
    "quizzes": "quiz",
    "heroes": "hero",
    "echoes": "echo",
    "shoes": "shoe",
    "canoes": "canoe",
    "toes": "toe",
    "axles": "axle",
    "licenses": "license",
    "licences": "licence",
    "expenses": "expense",
    "purchases": "purchase",
    "databases": "database",
    "warehouses": "warehouse",
    "houses": "house",
    "courses": "course",
    "nurses": "nurse",
    "horses": "horse",
    "responses": "response",
    "releases": "release",
    "leases": "lease",
    "cases": "case",
    "exercises": "exercise",
    "franchises": "franchise",
    "doses": "dose",
    "causes": "cause",
    "clauses": "clause",
    "phases": "phase",
    "uses": "use",
    "spouses": "spouse",
    "senses": "sense",
    "bonuses": "bonus",
    "viruses": "virus",
    "campuses": "campus",
    "canvases": "canvas",
    "aliases": "alias",
    "atlases": "atlas",
    "passes": "pass",
    "vaccines": "vaccine",
}

_IRREGULAR = {
    # base: (past, participle)  # noqa: ERA001 - a heading of a table
    "be": ("was", "been"),
    "beat": ("beat", "beaten"),
    "become": ("became", "become"),
    "begin": ("began", "begun"),
    "bid": ("bid", "bid"),
    "bind": ("bound", "bound"),
    "bite": ("bit", "bitten"),
    "break": ("broke", "broken"),
    "bring": ("brought", "brought"),
    "build": ("built", "built"),
    "buy": ("bought", "bought"),
    "catch": ("caught", "caught"),
    "choose": ("chose", "chosen"),
    "come": ("came", "come"),
    "cut": ("cut", "cut"),
    "deal": ("dealt", "dealt"),
    "do": ("did", "done"),
    "draw": ("drew", "drawn"),
    "drive": ("drove", "driven"),
    "eat": ("ate", "eaten"),
    "fall": ("fell", "fallen"),
    "feed": ("fed", "fed"),
    "feel": ("felt", "felt"),
    "fight": ("fought", "fought"),
    "find": ("found", "found"),
    "fly": ("flew", "flown"),
    "forget": ("forgot", "forgotten"),
    "freeze": ("froze", "frozen"),
    "get": ("got", "gotten"),
    "give": ("gave", "given"),
    "go": ("went", "gone"),
    "grow": ("grew", "grown"),
    "hang": ("hung", "hung"),
    "have": ("had", "had"),
    "hear": ("heard", "heard"),
    "hide": ("hid", "hidden"),
    "hit": ("hit", "hit"),
    "hold": ("held", "held"),
    "keep": ("kept", "kept"),
    "know": ("knew", "known"),
    "lay": ("laid", "laid"),
    "lead": ("led", "led"),
    "leave": ("left", "left"),
    "lend": ("lent", "lent"),
    "let": ("let", "let"),
    "lose": ("lost", "lost"),
    "make": ("made", "made"),
    "mean": ("meant", "meant"),
    "meet": ("met", "met"),
    "pay": ("paid", "paid"),
    "prepay": ("prepaid", "prepaid"),
    "put": ("put", "put"),
    "quit": ("quit", "quit"),
    "read": ("read", "read"),
    "rebuild": ("rebuilt", "rebuilt"),
    "resend": ("resent", "resent"),
    "reset": ("reset", "reset"),
    "rewrite": ("rewrote", "rewritten"),
    "ride": ("rode", "ridden"),
    "ring": ("rang", "rung"),
    "rise": ("rose", "risen"),
    "run": ("ran", "run"),
    "say": ("said", "said"),
    "see": ("saw", "seen"),
    "sell": ("sold", "sold"),
    "send": ("sent", "sent"),
    "set": ("set", "set"),
    "shoot": ("shot", "shot"),
    "show": ("showed", "shown"),
    "shut": ("shut", "shut"),
    "sing": ("sang", "sung"),
    "sit": ("sat", "sat"),
    "sleep": ("slept", "slept"),
    "speak": ("spoke", "spoken"),
    "spend": ("spent", "spent"),
    "split": ("split", "split"),
    "spread": ("spread", "spread"),
    "stand": ("stood", "stood"),
    "steal": ("stole", "stolen"),
    "stick": ("stuck", "stuck"),
    "strike": ("struck", "struck"),
    "sweep": ("swept", "swept"),
    "swim": ("swam", "swum"),
    "take": ("took", "taken"),
    "teach": ("taught", "taught"),
    "tear": ("tore", "torn"),
    "tell": ("told", "told"),
    "think": ("thought", "thought"),
    "throw": ("threw", "thrown"),
    "understand": ("understood", "understood"),
    "undo": ("undid", "undone"),
    "redo": ("redid", "redone"),
    "unfreeze": ("unfroze", "unfrozen"),
    "wake": ("woke", "woken"),
    "wear": ("wore", "worn"),
    "win": ("won", "won"),
    "wind": ("wound", "wound"),
    "withdraw": ("withdrew", "withdrawn"),
    "withhold": ("withheld", "withheld"),
    "write": ("wrote", "written"),
    "oversee": ("oversaw", "overseen"),
    "overrun": ("overran", "overrun"),
    "outbid": ("outbid", "outbid"),
    "redraw": ("redrew", "redrawn"),
    "retake": ("retook", "retaken"),
    "undertake": ("undertook", "undertaken"),
    "foresee": ("foresaw", "foreseen"),
    "upset": ("upset", "upset"),
    "input": ("input", "input"),
    "broadcast": ("broadcast", "broadcast"),
    "forecast": ("forecast", "forecast"),
    "cast": ("cast", "cast"),
    "burn": ("burned", "burned"),
    "learn": ("learned", "learned"),
}
_FROM_FORM = {form: base for base, forms in _IRREGULAR.items() for form in forms}
# British spelling is what the examples use; both are recognised when reading.
_DOUBLED_L = frozenset(
    """cancel travel label model signal total channel level fuel dial refuel counsel marshal""".split()
)
_FINAL_STRESS = frozenset(
    """submit admit commit permit omit refer prefer transfer confer defer occur incur recur control patrol enrol
    expel compel propel equip allot regret forget begin upset reset unplug unpin format""".split()
) - {"format"}
_NOT_DOUBLED = frozenset(
    """edit visit open enter offer order deliver answer cover alter audit credit deposit limit profit exit market
    target ticket format benefit budget monitor discover register remember render transfer gather filter trigger
    number water power follow allow view review show draw withdraw fix box tax mix relax index fax book cook look
    develop listen happen reason season mention position question station pardon poison summon abandon""".split()
) - {"transfer"}
_VOWELS = "aeiou"


@cache
def singular(noun: str) -> str:  # noqa: PLR0911 - one case after the other, in the order that decides
    """Return the singular of a lower-case noun; a compound is changed at its last word."""
    head, space, last = noun.rpartition(" ")
    if space:
        return f"{head} {singular(last)}"
    if noun in _SINGULAR_EXCEPTIONS:
        return _SINGULAR_EXCEPTIONS[noun]
    if noun in _SAME_FORM or len(noun) <= 3 or not noun.endswith(("s", "i", "a", "en", "ae")):  # noqa: PLR2004 - "gas", "bus"
        return noun
    if noun.endswith(("ss", "us", "is")) and not noun.endswith(("uses",)):
        return noun
    if noun.endswith(("i", "a", "en", "ae")):
        found = engine().singular_noun(noun) if noun in {"children", "women", "men", "alumni", "criteria"} else False
        return str(found) if found else noun
    for suffix in ("sses", "shes", "ches", "xes", "zzes"):
        if noun.endswith(suffix):
            return noun[:-2]
    found = engine().singular_noun(noun)
    return str(found) if found else noun


@cache
def plural(noun: str) -> str:
    """Return the plural of a lower-case singular noun; a compound is changed at its last word."""
    head, space, last = noun.rpartition(" ")
    if space:
        return f"{head} {plural(last)}"
    if noun in _UNCOUNTABLE:
        return noun
    fixed = {"person": "people", "leave": "leaves", "data": "data", "media": "media", "bus": "buses", "staff": "staff"}
    if noun in fixed:
        return fixed[noun]
    return str(engine().plural_noun(noun) or f"{noun}s")


def is_plural(noun: str) -> bool:
    """Tell whether a lower-case noun is written in the plural."""
    last = noun.rpartition(" ")[2]
    return singular(last) != last


def collection(noun: str) -> str:
    """Return a plural that differs from the singular, for names of collections ("equipment" → "equipment items")."""
    several = plural(noun)
    return several if several != noun else f"{noun} items"


def _regular_past(verb: str) -> str:
    if verb.endswith("e"):
        return f"{verb}d"
    if verb.endswith("c"):
        return f"{verb}ked"
    if verb.endswith("y") and verb[-2:-1] not in _VOWELS:
        return f"{verb[:-1]}ied"
    return f"{verb}{verb[-1]}ed" if _doubles(verb) else f"{verb}ed"


def _doubles(verb: str) -> bool:
    if verb in _DOUBLED_L or verb in _FINAL_STRESS:
        return True
    if verb in _NOT_DOUBLED or len(verb) < 3 or verb[-1] in "wxyh" + _VOWELS:  # noqa: PLR2004 - shortest closed syllable
        return False
    closed = verb[-2] in _VOWELS and verb[-3] not in _VOWELS
    one_syllable = len(re.findall(r"[aeiouy]+", verb)) == 1
    return closed and one_syllable


@cache
def participle(verb: str) -> str:
    """Return the past participle of a verb ("book" → "booked", "check in" → "checked in")."""
    head, *rest = verb.split(" ")
    if "-" in head:
        prefix, _, main = head.rpartition("-")
        return " ".join([f"{prefix}-{participle(main)}", *rest])
    form = _IRREGULAR[head][1] if head in _IRREGULAR else _regular_past(head)
    return " ".join([form, *rest])


@cache
def gerund(verb: str) -> str:
    """Return the present participle of a verb ("book" → "booking")."""
    head, *rest = verb.split(" ")
    if head.endswith("ie"):
        form = f"{head[:-2]}ying"
    elif head.endswith("e") and not head.endswith(("ee", "oe", "ye")) and head != "be":
        form = f"{head[:-1]}ing"
    else:
        form = f"{head}{head[-1]}ing" if _doubles(head) else f"{head}ing"
    return " ".join([form, *rest])


@cache
def third_person(verb: str) -> str:
    """Return the third person singular of a verb ("carry" → "carries")."""
    head, *rest = verb.split(" ")
    if head == "have":
        form = "has"
    elif head.endswith(("s", "sh", "ch", "x", "z", "o")):
        form = f"{head}es"
    elif head.endswith("y") and head[-2:-1] not in _VOWELS:
        form = f"{head[:-1]}ies"
    else:
        form = f"{head}s"
    return " ".join([form, *rest])


@cache
def verb_base(form: str, known: frozenset[str] = frozenset()) -> str:
    """Return the base of an inflected verb, guided by known bases where the ending leaves it open.

    Args:
        form: A lower-case verb in any form.
        known: Bases to prefer ("filed" is "file" and not "fil").
    """
    if form in _FROM_FORM:
        return _FROM_FORM[form]
    if form in known:
        return form
    for base in _bases(form):
        if base in known:
            return base
    candidates = [base for base in _bases(form) if _makes(base, form)]
    return candidates[0] if candidates else form


def _bases(form: str) -> list[str]:
    found: list[str] = []
    for suffix, endings in (
        ("ied", ("y", "ie")),
        ("ying", ("y", "ie")),
        ("ies", ("y", "ie")),
        ("ed", ("", "e")),
        ("ing", ("", "e")),
        ("es", ("e", "")),
        ("s", ("",)),
    ):
        if form.endswith(suffix) and len(form) > len(suffix) + 1:
            stem = form[: -len(suffix)]
            if suffix in ("ed", "ing") and len(stem) > 2 and stem[-1] == stem[-2] and stem[-1] not in "sl":  # noqa: PLR2004
                found.append(stem[:-1])
            if suffix in ("ed", "ing") and stem.endswith("ll"):
                found.append(stem[:-1])
            found.extend(stem + ending for ending in endings)
    return found


def _makes(base: str, form: str) -> bool:
    return form in (_regular_past(base), gerund(base), third_person(base)) if base else False


def state_base(state: str, known: frozenset[str]) -> str | None:
    """Return the verb whose participle names a state ("cancelled" and "canceled" → "cancel"), or None."""
    head, *rest = state.replace("_", " ").split(" ")
    if head in _FROM_FORM:
        return " ".join([_FROM_FORM[head], *rest])
    if not head.endswith("ed"):
        return None
    base = verb_base(head, known)
    return " ".join([base, *rest]) if base != head else None
