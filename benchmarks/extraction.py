"""Score the extraction of personas, entities and actions against annotated user stories.

    python benchmarks/extraction.py --data DIR [--json] [--errors]

DIR holds `*.jsonl` files, one story per line: `{"text": …, "entities": [{"label", "start_offset", "end_offset"}]}`
with the labels Persona, Entity and Action. Matching, per story and label, each gold span used once:

- exact: equal text after lower case, without leading determiners and outer punctuation, words compared by lemma
  (singular of nouns, base form of verbs);
- relaxed: one of the two normalised texts contains the other as whole words ("data package" and "previously tagged
  data package").

Precision, recall and F1 are over all stories of a file, and over all files together.
"""

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path

from factory.skills.native.language import annotate_story
from factory.skills.native.language.words import singular, verb_base

LABELS = ("persona", "entity", "action")
_DETERMINERS = frozenset("a an the my our your his her its their this that these those".split())


def normalise(text: str, label: str) -> str:
    """Return a span's text for comparison."""
    words = re.findall(r"[\w*&/.'-]+", text.lower().strip(" .,;:'\"()"))
    while len(words) > 1 and words[0] in _DETERMINERS:
        words = words[1:]
    words = [word.strip(".") for word in words]
    if label == "action":
        return " ".join(verb_base(word) for word in words)
    return " ".join(singular(word) for word in words)


def matches(gold: list[str], found: list[str], *, relaxed: bool) -> int:
    """Return how many found spans match a gold span, each used once, exact matches first."""
    left, rest = list(gold), []
    count = 0
    for item in found:
        if item in left:
            left.remove(item)
            count += 1
        else:
            rest.append(item)
    if not relaxed:
        return count
    for item in rest:
        twin = next((other for other in left if contains(other, item) or contains(item, other)), None)
        if twin is not None:
            left.remove(twin)
            count += 1
    return count


def contains(outer: str, inner: str) -> bool:
    """Tell whether a text holds another as whole words."""
    return bool(inner) and f" {inner} " in f" {outer} "


def score(path: Path, *, errors: bool) -> dict[str, Counter[str]]:
    """Return counts per label for one file."""
    totals: dict[str, Counter[str]] = {label: Counter() for label in LABELS}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        record = json.loads(line)
        text = record["text"]
        gold = {
            label: [
                normalise(text[span["start_offset"] : span["end_offset"]], label)
                for span in record["entities"]
                if span["label"].lower() == label
            ]
            for label in LABELS
        }
        noted = annotate_story(text)
        found = {
            "persona": [normalise(span.text, "persona") for span in noted.personas],
            "entity": [normalise(span.text, "entity") for span in noted.entities],
            "action": [normalise(span.text, "action") for span in noted.actions],
        }
        for label in LABELS:
            totals[label]["gold"] += len(gold[label])
            totals[label]["found"] += len(found[label])
            totals[label]["exact"] += matches(gold[label], found[label], relaxed=False)
            totals[label]["relaxed"] += matches(gold[label], found[label], relaxed=True)
        if errors:
            print_errors(text, gold, found)
    return totals


def print_errors(text: str, gold: dict[str, list[str]], found: dict[str, list[str]]) -> None:
    """Print what was missed and what was too much."""
    missed = {label: list((Counter(gold[label]) - Counter(found[label])).elements()) for label in LABELS}
    extra = {label: list((Counter(found[label]) - Counter(gold[label])).elements()) for label in LABELS}
    if any(missed.values()) or any(extra.values()):
        print(text, file=sys.stderr)
        for label in LABELS:
            if missed[label] or extra[label]:
                print(f"    {label}: missed {missed[label]} extra {extra[label]}", file=sys.stderr)


def rates(counts: Counter[str], kind: str) -> dict[str, float]:
    """Return precision, recall and F1."""
    precision = counts[kind] / counts["found"] if counts["found"] else 0.0
    recall = counts[kind] / counts["gold"] if counts["gold"] else 0.0
    both = precision + recall
    return {
        "precision": round(precision, 3),
        "recall": round(recall, 3),
        "f1": round(2 * precision * recall / both, 3) if both else 0.0,
    }


def main() -> None:
    """Run the benchmark over a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True, help="folder with annotated .jsonl files")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--errors", action="store_true", help="print every story with a miss on stderr")
    options = parser.parse_args()
    files = sorted(options.data.glob("*.jsonl")) if options.data.is_dir() else [options.data]
    if not files:
        print(f"no .jsonl file in {options.data}.", file=sys.stderr)
        raise SystemExit(2)
    report: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    together: dict[str, Counter[str]] = {label: Counter() for label in LABELS}
    for path in files:
        totals = score(path, errors=options.errors)
        report[path.stem] = {
            label: {kind: rates(totals[label], kind) for kind in ("exact", "relaxed")} for label in LABELS
        }
        for label in LABELS:
            together[label] += totals[label]
    report["all"] = {label: {kind: rates(together[label], kind) for kind in ("exact", "relaxed")} for label in LABELS}
    if options.json:
        print(json.dumps(report))
        return
    print(f"{'file':<16} {'label':<8} {'exact P':>8} {'R':>6} {'F1':>6}   {'relaxed P':>9} {'R':>6} {'F1':>6}")
    for name, labels in report.items():
        for label, kinds in labels.items():
            exact, relaxed = kinds["exact"], kinds["relaxed"]
            print(
                f"{name:<16} {label:<8} {exact['precision']:>8.3f} {exact['recall']:>6.3f} {exact['f1']:>6.3f}   "
                f"{relaxed['precision']:>9.3f} {relaxed['recall']:>6.3f} {relaxed['f1']:>6.3f}"
            )


if __name__ == "__main__":
    main()
