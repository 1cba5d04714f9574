"""A wheel agrees with its name, its metadata and its RECORD, or is refused with the rule that it breaks."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.wheel_factory import make_wheel, pin_of

from bundler.runtime.errors import ContentError, Faults
from bundler.wheels.allowances import Allowances
from bundler.wheels.entry_points import parse_entry_points, scripts_of
from bundler.wheels.records import parse_record, record_text
from bundler.wheels.wheel_reader import Wheel

INFO = "demo-1.0.dist-info"
SCRIPTS = "[console_scripts]\n"


def no_warning(text):
    pytest.fail(f"unexpected warning: {text}")


def open_wheel(path, warn=no_warning):
    return Wheel.open(path, pin_of(path), warn=warn)


def read_all(path, warn=no_warning):
    with open_wheel(path, warn) as wheel:
        return {entry.path: b"".join(wheel.chunks(entry)) for entry in wheel.entries}


def hashed(algorithm, data=b"x = 1\n"):
    return base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).rstrip(b"=").decode()


def test_gives_name_metadata_entry_points_and_contents(tmp_path):
    path = make_wheel(
        tmp_path,
        "demo",
        files={"demo/__init__.py": b"", "demo/data, more.txt": b"1"},
        requires=["attrs>=1", "click; python_version < '3.8'"],
        entry_points="[console_scripts]\ndemo = demo:main\n[demo.plugins]\nx = demo\n",
    )
    with open_wheel(path) as wheel:
        assert (wheel.name, str(wheel.version), wheel.filename) == ("demo", "1.0", path.name)
        assert wheel.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert wheel.requires == ("attrs>=1", "click; python_version < '3.8'")
        assert wheel.entry_points == {"console_scripts": {"demo": "demo:main"}, "demo.plugins": {"x": "demo"}}
        assert f"{INFO}/RECORD" not in {entry.path for entry in wheel.entries}
        (entry,) = (entry for entry in wheel.entries if entry.path == "demo/data, more.txt")
        assert (entry.size, entry.sha256) == (1, hashlib.sha256(b"1").hexdigest())
        assert list(wheel.chunks(entry)) == [b"1"]


@pytest.mark.parametrize(
    "options",
    [
        {"name": "Demo.Pkg_x", "filename": "demo_pkg_x-1.0-py3-none-any.whl"},
        {"version": "1.0.0", "filename": "demo-1.0-py3-none-any.whl"},
        {"tag": "py2.py3-none-any"},
        {"tag": "py3-none-any", "filename": "demo-1.0-1-py3-none-any.whl"},
        {"entry_points": "[console_scripts]\nblackd = blackd:main [d]\n"},
        {"entry_points": "# nothing\n"},
        {"record": lambda text: text.replace(f"{INFO}/RECORD,,\n", "")},
        {"record": lambda text: text.replace("\n", "\r\n")},
        {"files": {"demo.py": b"x", f"{INFO}/RECORD.jws": b"{}", "vendored/other-2.dist-info/METADATA": b"?"}},
    ],
    ids="-".join,
)
def test_accepts_what_the_specification_allows(options, tmp_path):
    assert read_all(make_wheel(tmp_path, **options))


@pytest.mark.parametrize(
    ("tag", "warned"),
    [
        ("py3-none-linux_x86_64", False),  # lightgbm's, xgboost's: another platform means nothing
        ("py3-none-any", False),
        ("cp39-cp39-manylinux2014_x86_64", True),  # xgboost 1.6.2's
    ],
)
def test_a2_other_tags_in_wheel_are_worth_a_warning_at_most(tag, warned, tmp_path):
    heard = []
    path = make_wheel(tmp_path, tag=tag, filename="demo-1.0-py2.py3-none-manylinux1_x86_64.whl")
    assert read_all(path, heard.append)
    assert ["other tags in WHEEL" in text for text in heard] == [True] * warned


@pytest.mark.parametrize("body", [b"", b"\nTag: cp39-cp39-any\n"], ids=["none", "in the body"])
def test_a2_a_wheel_without_tags_is_worth_a_warning(body, tmp_path):
    """As catboost 1.0.6 is."""
    heard = []
    assert read_all(make_wheel(tmp_path, files={f"{INFO}/WHEEL": b"Wheel-Version: 1.0\n" + body}), heard.append)
    (warning,) = heard
    assert "has other tags in WHEEL than in its file name; got none, want py3-none-any" in warning


def test_a9_accepts_hex_that_matches_with_one_warning(tmp_path):
    def in_hex(text):
        return text.replace(hashed("sha256"), hashlib.sha256(b"x = 1\n").hexdigest())

    heard = []
    path = make_wheel(tmp_path, files={"a.py": b"x = 1\n", "b.py": b"x = 1\n"}, record=in_hex)
    assert read_all(path, heard.append)["a.py"] == b"x = 1\n"
    assert len(heard) == 1
    assert "in hex" in heard[0]
    assert "1 more" in heard[0]


def test_a9_accepts_padding_with_one_warning(tmp_path):
    """As catboost 1.0.6 has it."""
    heard = []
    files = {"a.py": b"1", "b.py": b"2"}
    path = make_wheel(tmp_path, files=files, record=lambda text: re.sub("(=[^,]+)", r"\1=", text))
    assert read_all(path, heard.append)["a.py"] == b"1"
    (warning,) = heard
    assert "has its hash with padding (and 3 more)" in warning


@pytest.mark.parametrize("wrong", ["sha256=abc,17", ",", "sha256=" + "A" * 43 + ",17"])
def test_a9_a_wrong_row_of_top_level_txt_leaves_that_out_with_a_warning(tmp_path, wrong):
    """decord 0.6.0 was published like this; everything else of a wheel has to be what RECORD says."""

    def spoilt(name):
        return lambda text: re.sub(rf"{re.escape(name)},.*", f"{name},{wrong}", text)

    files = {"demo.py": b"x = 1\n", f"{INFO}/top_level.txt": b"demo\n"}
    heard = []
    path = make_wheel(tmp_path, files=files, record=spoilt(f"{INFO}/top_level.txt"))
    assert sorted(read_all(path, heard.append)) == [f"{INFO}/METADATA", f"{INFO}/WHEEL", "demo.py"]
    (warning,) = heard
    assert "top_level.txt" in warning
    assert "it is of no use, and left out" in warning
    with pytest.raises(ContentError, match=r"demo\.py"):
        read_all(make_wheel(tmp_path, files=files, record=spoilt("demo.py")), heard.append)


def test_a9_accepts_padding_of_a_stronger_hash(tmp_path):
    both = "sha256=" + hashed("sha256"), f"sha512={hashed('sha512')}=="
    assert read_all(make_wheel(tmp_path, record=lambda text: text.replace(*both)), lambda _: None)


def test_a9_accepts_a_row_of_what_was_moved_out_of_data_with_one_warning(tmp_path):
    """As xgboost 1.0.2 has it: one file, in its old place in RECORD, and in its new one in both."""
    heard = []
    found = read_all(make_wheel(tmp_path, record=lambda text: MOVED + text), heard.append)
    assert {path for path in found if not path.startswith(INFO)} == {"demo.py"}
    (warning,) = heard
    assert "lists 'demo-1.0.data/data/lib', which is not in the wheel; demo.py has its contents" in warning


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_a9_accepts_stronger_hashes_and_gives_sha256(algorithm, tmp_path):
    def stronger(text):
        return text.replace("sha256=" + hashed("sha256"), f"{algorithm}={hashed(algorithm)}")

    with open_wheel(make_wheel(tmp_path, record=stronger)) as wheel:
        (entry,) = (entry for entry in wheel.entries if entry.path == "demo.py")
        assert entry.sha256 == hashlib.sha256(b"x = 1\n").hexdigest()
        assert b"".join(wheel.chunks(entry)) == b"x = 1\n"


def files(**changes):
    return {"files": {"demo.py": b"x = 1\n", **{f"{INFO}/{name}": data for name, data in changes.items()}}}


def record(old, new):
    """Replace *old* in RECORD, which must be there."""

    def change(text):
        assert old in text
        return text.replace(old, new, 1)

    return {"record": change}


GOOD_WHEEL = b"Wheel-Version: 1.0\nTag: py3-none-any\n"
ROW = f"demo.py,sha256={hashed('sha256')},6\n"
MOVED = ROW.replace("demo.py", "demo-1.0.data/data/lib")

# (rule, what is wrong) → how to make the wheel, and what the message has to name.
REFUSED = {
    ("A2", "no dist-info"): (
        {"files": {f"{INFO}/{n}": None for n in ("METADATA", "WHEEL")}, "record": lambda _: None},
        "",
    ),
    ("A2", "two dist-infos"): ({"files": {"other-1.0.dist-info/METADATA": b"Name: other\n"}}, "other-1.0.dist-info"),
    ("A2", "two dist-infos, case"): ({"files": {"other-1.0.DIST-INFO/METADATA": b""}}, "other-1.0.DIST-INFO"),
    ("A2", "name of the file"): ({"filename": "other-1.0-py3-none-any.whl"}, "demo-1.0.dist-info"),
    ("A2", "version of the file"): ({"filename": "demo-1.1-py3-none-any.whl"}, "demo-1.0.dist-info"),
    ("A2", "non-ASCII dist-info"): ({"name": "d\u0435mo", "filename": "demo-1.0-py3-none-any.whl"}, "\\u0435"),
    ("A2", "no METADATA"): (files(METADATA=None), "METADATA"),
    ("A2", "name in METADATA"): (files(METADATA=b"Name: other\nVersion: 1.0\n"), "other"),
    ("A2", "version in METADATA"): (files(METADATA=b"Name: demo\nVersion: 2\n"), "demo 2"),
    ("A2", "no version in METADATA"): (files(METADATA=b"Name: demo\n"), "METADATA"),
    ("A2", "two names in METADATA"): (files(METADATA=b"Name: demo\nName: other\nVersion: 1.0\n"), "other"),
    ("A2", "METADATA is not UTF-8"): (files(METADATA=b"Name: demo\nVersion: 1.0\nAuthor: \xff\n"), "METADATA"),
    ("A2", "no WHEEL"): (files(WHEEL=None), "WHEEL"),
    ("A2", "no Wheel-Version"): (files(WHEEL=b"Tag: py3-none-any\n"), "Wheel-Version"),
    ("A2", "Wheel-Version 2"): (files(WHEEL=GOOD_WHEEL.replace(b"1.0", b"2.0")), "2.0"),
    ("A2", "two Wheel-Versions"): (files(WHEEL=b"Wheel-Version: 1.0\n" + GOOD_WHEEL), "Wheel-Version"),
    ("A2", "half a tag"): (files(WHEEL=b"Wheel-Version: 1.0\nTag: py3-none\n"), "py3-none"),
    ("A9", "no RECORD"): ({"record": lambda _: None}, "RECORD"),
    ("A9", "not UTF-8"): ({"record": lambda _: b"\xff\xfe,,"}, "RECORD"),
    ("A9", "no CSV"): ({"record": lambda text: text + '"open\n'}, "RECORD"),
    ("A9", "two columns"): (record(",6\n", "\n"), "RECORD"),
    ("A9", "four columns"): (record(",6\n", ",6,\n"), "RECORD"),
    ("A9", "not there"): (record(ROW, ROW + ROW.replace("demo", "gone")), "gone.py"),
    ("A9", "outside"): (record(ROW, ROW + ROW.replace("demo", "../demo")), "../demo.py"),
    ("A9", "not listed"): (record(ROW, ""), "demo.py"),
    ("A9", "listed twice"): (record(ROW, ROW * 2), "demo.py"),
    ("A9", "listed by another name"): (record(ROW, ROW.replace("demo.py", "./demo.py")), "./demo.py"),
    ("A9", "no hash"): (record(f"sha256={hashed('sha256')}", ""), "demo.py"),
    ("A9", "no size"): (record(",6\n", ",\n"), "demo.py"),
    ("A9", "md5"): (record(f"sha256={hashed('sha256')}", f"md5={hashed('md5')}"), "md5"),
    ("A9", "sha1"): (record(f"sha256={hashed('sha256')}", f"sha1={hashed('sha1')}"), "sha1"),
    ("A9", "sha224"): (record(f"sha256={hashed('sha256')}", f"sha224={hashed('sha224')}"), "sha224"),
    ("A9", "unknown algorithm"): (record("sha256=", "SHA256="), "SHA256"),
    ("A9", "padded too much"): (record(hashed("sha256"), hashed("sha256") + "=="), "demo.py"),
    ("A9", "padding alone"): (record(hashed("sha256"), "===="), "demo.py"),
    ("A9", "padding in the middle"): (record(hashed("sha256"), hashed("sha256")[:-1] + "=="), "demo.py"),
    ("A9", "padded and wrong"): (record(hashed("sha256"), hashed("sha256", b"y") + "="), "demo.py"),
    ("A9", "moved, and not there"): (record(ROW, ROW + MOVED.replace(hashed("sha256"), hashed("sha256", b"y"))), "lib"),
    ("A9", "moved, of another size"): (record(ROW, ROW + MOVED.replace(",6", ",7")), "demo-1.0.data/data/lib"),
    ("A9", "moved, without a hash"): (record(ROW, ROW + "demo-1.0.data/data/lib,,\n"), "demo-1.0.data/data/lib"),
    ("A9", "moved twice"): (record(ROW, ROW + MOVED * 2), "demo-1.0.data/data/lib"),
    ("A9", "moved out of another's"): (record(ROW, ROW + MOVED.replace("demo-", "other-")), "other-1.0.data"),
    ("A9", "moved from outside"): (record(ROW, ROW + MOVED.replace("lib", "../../lib")), "../../lib"),
    ("A9", "junk in base64"): (record("demo.py,sha256=", "demo.py,sha256=!"), "demo.py"),
    ("A9", "short"): (record(hashed("sha256"), hashed("sha256")[:-1]), "demo.py"),
    ("A9", "spare bits"): (record(hashed("sha256"), hashed("sha256")[:-1] + "B"), "demo.py"),
    ("A9", "wrong hash"): (record(hashed("sha256"), hashed("sha256", b"y")), "demo.py"),
    ("A9", "wrong hex"): (record(hashed("sha256"), hashlib.sha256(b"y").hexdigest()), "demo.py"),
    ("A9", "wrong size"): (record(",6\n", ",7\n"), "demo.py"),
    ("A9", "negative size"): (record(",6\n", ",-6\n"), "demo.py"),
    ("A9", "size in other digits"): (record(",6\n", ",\u0666\n"), "demo.py"),
    ("A9", "hash of itself"): (record(f"{INFO}/RECORD,,", f"{INFO}/RECORD,sha256=x,1"), "RECORD"),
    ("A9", "wrong hash of METADATA"): (
        {"record": lambda text: text.replace("METADATA,sha256=", "METADATA,sha256=AAAA")},
        "METADATA",
    ),
    ("A10", "data of another"): ({"files": {"other-1.0.data/scripts/x": b""}}, "other-1.0.data"),
    ("A11", "name with a slash"): ({"entry_points": SCRIPTS + "../x = demo:main\n"}, "../x"),
    ("A11", "name with a space"): ({"entry_points": SCRIPTS + "a b = demo:main\n"}, "a b"),
    ("A11", "name with a Kelvin sign"): ({"entry_points": SCRIPTS + "\u212a = demo:main\n"}, "\\u212a"),
    ("A11", "dots for a name"): ({"entry_points": SCRIPTS + ".. = demo:main\n"}, ".."),
    ("A11", "an interpreter's name"): ({"entry_points": SCRIPTS + "python3.7 = demo:main\n"}, "python3.7"),
    ("A11", "no attribute"): ({"entry_points": SCRIPTS + "x = demo\n"}, "demo"),
    ("A11", "quotes"): ({"entry_points": SCRIPTS + 'x = demo:main");evil("\n'}, "evil"),
    ("A11", "a call"): ({"entry_points": SCRIPTS + "x = demo:main()\n"}, "main()"),
    ("A11", "a statement"): ({"entry_points": SCRIPTS + "x = demo:main;evil\n"}, "evil"),
    ("A11", "a keyword"): ({"entry_points": SCRIPTS + "x = demo:import\n"}, "import"),
    ("A11", "a number"): ({"entry_points": SCRIPTS + "x = demo:1\n"}, "demo:1"),
    ("A11", "an empty part"): ({"entry_points": SCRIPTS + "x = demo..a:main\n"}, "demo..a"),
    ("A11", "a second line"): ({"entry_points": SCRIPTS + "x = demo:main\n  import evil\n"}, "evil"),
    ("A11", "GUI scripts"): ({"entry_points": "[gui_scripts]\nx = evil\n"}, "evil"),
    ("A11", "scripts by default"): ({"entry_points": "[DEFAULT]\na b = c\n" + SCRIPTS + "x=1\n"}, "x"),
    ("A11", "no section"): ({"entry_points": "x = demo:main\n"}, "entry_points.txt"),
    ("A11", "twice"): ({"entry_points": SCRIPTS + "x = a:b\nx = c:d\n"}, "entry_points.txt"),
    ("A11", "not UTF-8"): ({"files": {f"{INFO}/entry_points.txt": b"[x]\n\xff = a\n"}}, "entry_points.txt"),
}


@pytest.mark.parametrize(("rule", "what"), REFUSED, ids=[f"{rule}-{what.replace(' ', '-')}" for rule, what in REFUSED])
def test_refuses(rule, what, tmp_path):
    options, named = REFUSED[rule, what]
    path = make_wheel(tmp_path, **options)
    with pytest.raises(ContentError) as caught:
        read_all(path, warn=lambda _: None)
    faults = caught.value.faults if isinstance(caught.value, Faults) else [caught.value]
    assert {fault.rule for fault in faults} == {rule}
    assert caught.value.exit_code == 3
    assert path.name in str(caught.value)
    assert named in str(caught.value)


def test_a2_a_pin_of_another_wheel_is_refused(tmp_path):
    wheel = make_wheel(tmp_path)
    other = make_wheel(tmp_path, "other")
    with pytest.raises(ContentError) as caught:
        Wheel.open(wheel, pin_of(other), warn=no_warning)
    assert caught.value.rule == "A2"


def test_a9_all_faults_are_reported_at_once(tmp_path):
    def wrong(text):
        lines = text.splitlines(keepends=True)
        lines = [line for line in lines if not line.startswith("b.py")]
        lines = [line.replace("sha256=", "md5=") if line.startswith("a.py") else line for line in lines]
        return "".join(lines) + "gone.py,sha256=x,1\n"

    path = make_wheel(tmp_path, files={"a.py": b"a", "b.py": b"b"}, record=wrong)
    with pytest.raises(Faults) as caught:
        open_wheel(path)
    text = str(caught.value)
    assert len(caught.value.faults) == 3
    assert all(name in text for name in ("a.py", "b.py", "gone.py"))


@pytest.mark.parametrize("what", [what for rule, what in REFUSED if rule == "A9" and what != "no RECORD"])
def test_a9_a_wrong_record_can_be_allowed_for_one_wheel(what, tmp_path):
    path = make_wheel(tmp_path, **REFUSED["A9", what][0])
    pin = pin_of(path)
    with pytest.raises(ContentError) as caught:
        read_all(path, warn=lambda _: None)
    assert f"--allow sha256:{pin.sha256}" in str(caught.value)
    warnings = []
    allowances = Allowances(frozenset([pin.sha256]))
    with Wheel.open(path, pin, warn=warnings.append, allowances=allowances) as wheel:
        contents = {entry.path: b"".join(wheel.chunks(entry)) for entry in wheel.entries}
        assert all(hashlib.sha256(contents[e.path]).hexdigest() == e.sha256 for e in wheel.entries)
    assert len(warnings) == 1
    assert [(item.rule, item.name) for item in allowances.used] == [("A9", path.name)]


def test_contents_are_not_read_when_a_wheel_is_opened(tmp_path):
    path = make_wheel(tmp_path, record=lambda text: text.replace(hashed("sha256"), hashed("sha256", b"y")))
    with open_wheel(path) as wheel:
        (entry,) = (entry for entry in wheel.entries if entry.path == "demo.py")
        with pytest.raises(ContentError, match="is not what RECORD promises"):
            list(wheel.chunks(entry))


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@settings(max_examples=200)
@given(st.one_of(TEXT, st.text("ab.:[]=\n #;()'\"\\", max_size=30)), TEXT)
def test_whatever_is_accepted_as_a_script_is_safe_in_a_launcher(value, name):
    try:
        scripts = scripts_of(parse_entry_points(f"[console_scripts]\n{name} = {value}\n", "where"))
    except ContentError as error:
        assert error.rule == "A11"  # noqa: PT017 - most are refused
        return
    for script, target in scripts.items():
        assert set(script) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        module, _, attr = target.partition(":")
        assert all(word.isidentifier() for word in [*module.split("."), *attr.split(".")])


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), min_size=1), st.binary(max_size=9)
        ),
        unique_by=lambda row: row[0],
        max_size=6,
    )
)
def test_a_record_that_is_written_can_be_read(files):
    dist_info = "x-1.dist-info"
    rows = [(f"site-packages/{path}", hashlib.sha256(data).hexdigest(), len(data)) for path, data in files]
    text = record_text(rows, dist_info)
    sizes = {path: len(data) for path, data in files} | {f"{dist_info}/RECORD": len(text)}
    read, warnings, faults = parse_record(text, sizes, where="RECORD", dist_info=dist_info)
    assert (warnings, faults) == ([], [])
    assert {path: row.digest for path, row in read.items()} == {
        path: hashlib.sha256(data).digest() for path, data in files
    }


def test_any_changed_byte_is_refused_or_inert(tmp_path):
    path = make_wheel(tmp_path, files={"demo.py": b"x = 1\n"}, requires=["attrs"], entry_points=SCRIPTS + "x = a:b\n")
    pin, data = pin_of(path), path.read_bytes()
    with open_wheel(path) as wheel:
        facts = wheel.requires, wheel.entry_points
    wanted = read_all(path)
    inert = 0
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        try:
            with Wheel.open(path, pin, warn=lambda _: None) as wheel:
                found = {entry.path: b"".join(wheel.chunks(entry)) for entry in wheel.entries}
                assert (wheel.requires, wheel.entry_points) == facts
        except ContentError:
            continue
        inert += 1
        assert found == wanted
    # Versions, time stamps, attributes and permissions: see test_archives.
    members = len(wanted) + 1
    assert inert <= members * 20
