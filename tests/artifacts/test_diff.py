import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factory.artifacts.diff import Change, diff
from tests.artifacts.builders import git, tree


def test_a_difference_counts_lines_and_leaves_equal_files_out() -> None:
    before = tree({"same.txt": "x", "a.txt": "one\ntwo\nthree", "old.txt": "gone\n", "empty.txt": ""})
    after = tree({"same.txt": "x", "a.txt": "one\n2\nthree\n", "new.txt": "here\n"})
    found = diff(before, after)
    assert [(file.path, file.change, file.added, file.removed) for file in found.files] == [
        ("a.txt", Change.MODIFIED, 2, 2),
        ("empty.txt", Change.REMOVED, 0, 0),
        ("new.txt", Change.ADDED, 1, 0),
        ("old.txt", Change.REMOVED, 0, 1),
    ]
    assert found.files[0].text == (
        "diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -1,3 +1,3 @@\n"
        " one\n-two\n-three\n\\ No newline at end of file\n+2\n+three\n"
    )
    assert found.to_dict()["files"][2]["change"] == "added"
    assert diff(after, after).text == ""


LINES = st.sampled_from(["", "one", "two", "three", "a\r", "\x0c", "ä\u2028b", "-- x", "++ y", "@@ -1 +1 @@"])
TEXTS = st.builds("\n".join, st.lists(LINES, max_size=30))
NAMES = st.sampled_from(["a", "b c", "ünï", 'quo"te', "tab\t", "dir/a", "dir/b", ".gitignore", "lf\nx"])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=st.dictionaries(NAMES, TEXTS, max_size=5), after=st.dictionaries(NAMES, TEXTS, max_size=5))
def test_git_applies_any_difference(
    tmp_path_factory: pytest.TempPathFactory, before: dict[str, str], after: dict[str, str]
) -> None:
    place = tmp_path_factory.mktemp("apply")
    for name, text in before.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(text.encode())
    patch = diff(tree(before), tree(after)).text
    if patch:
        (place / ".patch").write_bytes(patch.encode())
        git(place, "apply", "--whitespace=nowarn", ".patch")
        (place / ".patch").unlink()
    found = {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert found == {name: text.encode() for name, text in after.items()}
