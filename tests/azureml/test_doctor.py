from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.deployment_factory import PY37, deployment, dist_info, make_bundle, make_folder

from bundler.azureml.doctor import diagnose
from bundler.azureml.doctoring.ignores import keeping
from bundler.azureml.doctoring.uploads import _LINKS
from bundler.runtime.errors import UsageError
from bundler.targets import PRESETS

ROOT = Path(__file__).parents[2]
LIB = "AZUREML_EXTRA_PYTHON_LIB_PATH"
REQ = "AZUREML_EXTRA_REQUIREMENTS_TXT"
CONDA = "AZUREML_EXTRA_CONDA_YAML"
# What github.com offers for Python projects drops these, too.
GITIGNORE = "__pycache__/\n*.py[cod]\n*.so\nlib/\n"


@dataclass
class Case:
    """A deployment with one thing wrong: which finding, its words, and what is to be typed."""

    name: str
    severity: str
    what: str
    type: str
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, object] = field(default_factory=dict)
    bundles: dict[str, dict] = field(default_factory=dict)
    script: str | None = "score.py"
    target: str = "azureml-py37"
    inside: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.what}"


def under(directory: str, files: dict[str, str]) -> dict[str, str]:
    return {f"{directory}/{name}": content for name, content in files.items()}


PLAIN = {"deps/alpha.py": "", **under("deps", dist_info("alpha"))}
CASES = [
    # Entry script
    Case("entry-script-missing", "fails", "not in the code folder", "--entry-script", script="main.py"),
    Case("entry-script-missing", "warning", "no other entry script", "--score-dir", script=None),
    # Names
    Case("variable-spelling", "fails", f"{REQ} is", f"{REQ}: x", {"AZUREML_EXTRA_REQUIRMENTS_TXT": "x"}),
    Case("variable-spelling", "fails", f"{REQ} is", f"{REQ}: x", {"AZUREML_EXTRA_REQUIREMENT_TXT": "x"}),
    Case("variable-spelling", "fails", f"{LIB} is", f"{LIB}: deps", {"AZUREML_EXTRA_PYTHON_LIBS_PATH": "deps"}),
    Case("variable-spelling", "fails", f"{LIB} is", f"{LIB}: deps", {"AZUREML_PYTHON_LIB_PATH": "deps"}),
    Case("variable-spelling", "fails", f"{LIB} is", f"{LIB}: deps", {LIB.lower(): "deps"}),
    Case("variable-spelling", "fails", f"{LIB} is", f"{LIB}: deps", {f"{LIB} ": "deps"}),
    Case("variable-spelling", "fails", f"{CONDA} is", f"{CONDA}: e", {"AZUREML_EXTRA_CONDA_YML": "e"}),
    Case("variable-spelling", "fails", f"{LIB} is", f"{LIB}: deps", {"AZUREML_EXTRA_LIBS": "deps"}),
    Case("variable-spelling", "fails", "PYTHONPATH is", "PYTHONPATH: deps", {"PYTHON_PATH": "deps"}),
    # Together
    Case("variables-exclude-each-other", "fails", f"with {LIB}", f"remove {REQ}", {LIB: "deps", REQ: "r.txt"}),
    Case("variables-exclude-each-other", "fails", f"with {LIB}", f"remove {CONDA}", {LIB: "deps", CONDA: "e.yml"}),
    Case(
        "image-ignores-variables",
        "fails",
        "Python 3.11",
        "PYTHONPATH: deps",
        {LIB: "deps"},
        PLAIN,
        target="azureml-py311",
    ),
    Case(
        "image-ignores-variables",
        "warning",
        "Python 3.9",
        "PYTHONPATH: deps",
        {LIB: "deps", "PYTHONPATH": "deps"},
        PLAIN,
        target="azureml-py39",
    ),
    # Python's own
    Case("pythonhome", "fails", "/usr", "remove PYTHONHOME", {"PYTHONHOME": "/usr"}),
    Case("pythonpath-leaks", "fails", "nobody expands", "PYTHONPATH:", {"PYTHONPATH": "deps:$PYTHONPATH"}),
    Case("pythonpath-leaks", "fails", "of this host", "PYTHONPATH:", {"PYTHONPATH": "/home/me/project"}),
    Case("pythonpath-leaks", "fails", "of this host", "PYTHONPATH:", {"PYTHONPATH": "C:\\project"}),
    Case("pythonpath-leaks", "fails", "of this host", "PYTHONPATH:", {"PYTHONPATH": "on\\deps;more"}),
    Case("pythonpath-absolute", "warning", "/opt/more", "PYTHONPATH:", {"PYTHONPATH": "/opt/more"}),
    Case(
        "pythonpath-absolute",
        "warning",
        "/var/azureml-app/deps",
        "PYTHONPATH: deps",
        {"PYTHONPATH": "/var/azureml-app/deps"},
        PLAIN,
    ),
    Case("path-missing", "fails", "names deps", "bundle create", {"PYTHONPATH": "deps"}),
    # Where LIB_PATH leads to
    Case("path-missing", "fails", "exits with 97", "bundle create", {LIB: "deps"}),
    Case("path-missing", "fails", "relative to the directory", f"{LIB}: deps", {LIB: "dpes"}, PLAIN),
    Case(
        "path-missing",
        "fails",
        "on/on/deps is not there",
        f"{LIB}: deps",
        {LIB: "on/deps"},
        {"on/score.py": "", "on/deps/alpha.py": ""},
        script="on/score.py",
    ),
    Case(
        "path-missing",
        "fails",
        "on/deps is not there",
        f"{LIB}: ../deps",
        {LIB: "deps"},
        {"on/score.py": "", **PLAIN},
        script="on/score.py",
    ),
    Case("path-unusable", "fails", "nothing", "AZUREML", {LIB: ""}),
    Case("path-unusable", "fails", "several directories", f"{LIB}: a and PYTHONPATH: b", {LIB: "a:b"}),
    Case("path-unusable", "fails", "nobody expands", f"{LIB}: deps", {LIB: "$HOME/deps"}),
    Case("path-unusable", "fails", "nobody expands", f"{LIB}: deps", {LIB: "onlinescoring\\deps"}),
    Case("path-unusable", "fails", "a file", f"{REQ}: r.txt", {LIB: "r.txt"}, {"r.txt": "--no-index\n"}),
    Case("path-unusable", "fails", "a file", "bundle create", {LIB: "deps.zip"}, {"deps.zip": "PK"}),
    Case("path-unusable", "fails", "a file", "--format packed", {LIB: "d.pyz"}, bundles={"d.pyz": {"form": "pyz"}}),
    Case("path-absolute", "fails", "absolute", f"{LIB}: deps", {LIB: "/var/azureml-app/deps"}, PLAIN),
    Case("path-absolute", "warning", "absolute", f"{LIB}: deps", {LIB: "/deps"}, PLAIN),
    Case("path-outside", "warning", "leads out", f"{LIB}: deps", {LIB: "../../mnt/deps"}),
    Case("path-outside", "fails", "leads out", f"{LIB}: beside", {LIB: "../beside"}, {"../beside/alpha.py": ""}),
    # What is there
    Case(
        "not-the-packages",
        "fails",
        "root of a tree",
        f"{LIB}: t/site-packages",
        {LIB: "t"},
        bundles={"t": {"form": "tree"}},
    ),
    Case("not-the-packages", "fails", "nothing that can be", "bundle create", {LIB: "deps"}, {"deps": None}),
    Case(
        "not-the-packages",
        "fails",
        "nothing that can be",
        f"{LIB}: deps/lib/python3.7/site-packages",
        {LIB: "deps"},
        {"deps/lib/python3.7/site-packages/alpha.py": ""},
    ),
    Case(
        "not-the-packages",
        "fails",
        "part of a conda",
        f"{LIB}: env/lib/python3.7/site-packages",
        {LIB: "env"},
        {"env/conda-meta/history": "", "env/lib/python3.7/site-packages/alpha.py": ""},
    ),
    Case(
        "directory-of-wheels",
        "fails",
        "holds wheels",
        f"set {REQ}: house/requirements.txt",
        {LIB: "house"},
        {"house/wheels/a-1.0-py3-none-any.whl": "", "house/requirements.txt": "--no-index\n"},
    ),
    Case("directory-of-wheels", "fails", "holds wheels", "--find-links", {LIB: "w"}, {"w/a-1.0-py3-none-any.whl": ""}),
    # Requirements
    Case(
        "path-missing",
        "fails",
        "exits with 99",
        f"{REQ}: requirements.txt",
        {REQ: "requirments.txt"},
        {"requirements.txt": ""},
    ),
    Case("path-missing", "fails", "exits with 99", "put the file", {REQ: "r.txt"}),
    Case("path-missing", "fails", "exits with 98", "put the file", {CONDA: "e.yml"}),
    Case("path-unusable", "fails", "a directory", f"{LIB}: deps", {REQ: "deps"}, PLAIN),
    Case(
        "path-unusable",
        "fails",
        "--find-links wheels",
        "mkdir wheels",
        {REQ: "r.txt"},
        {"r.txt": "--no-index\n-f wheels\n"},
    ),
    Case("requirements-need-network", "warning", "no --no-index", "--find-links", {REQ: "r.txt"}, {"r.txt": "numpy\n"}),
    Case("requirements-need-network", "warning", "by conda", "bundle create", {CONDA: "e.yml"}, {"e.yml": "{}"}),
    # Bundles
    Case(
        "bundle-target",
        "fails",
        "another Python",
        "--python 3.7.16",
        {LIB: "d"},
        bundles={"d": {"target": PRESETS["azureml-py38"]}},
    ),
    Case(
        "bundle-target",
        "fails",
        "newer glibc",
        "manylinux_2_27",
        {LIB: "d"},
        bundles={"d": {"target": PY37._replace(libc_version="2.28"), "libc_version": "2.28"}},
    ),
    Case("bundle-does-not-mount", "fails", "sitecustomize", 'mount("d")', {LIB: "d"}, bundles={"d": {"mounts": False}}),
    Case("nothing-puts-it-on-the-path", "fails", "is a bundle", f"{LIB}: d", bundles={"d": {}}),
    Case(
        "nothing-puts-it-on-the-path", "fails", "is a bundle", "PYTHONPATH: d.pyz", bundles={"d.pyz": {"form": "pyz"}}
    ),
    Case("pip-bundled", "warning", "pip 23.0", "leave pip out", {LIB: "d"}, bundles={"d": {"pip": "23.0"}}),
    Case(
        "pip-bundled",
        "fails",
        "pip 24.1, which is too new for Python 3.7",
        "leave",
        {LIB: "d"},
        bundles={"d": {"pip": "24.1"}},
    ),
    Case(
        "server-file-in-packages",
        "warning",
        "config.json",
        "--exclude 'site-packages/config.json'",
        {LIB: "t/site-packages"},
        bundles={"t": {"form": "tree", "files": {"site-packages/config.json": b"{}"}}},
    ),
    # Packages
    Case(
        "pip-bundled", "warning", "pip 23.0", "rm -r deps/pip", {LIB: "deps"}, under("deps", dist_info("pip", "23.0"))
    ),
    Case(
        "pip-bundled",
        "fails",
        "too new",
        "rm -r deps/pip",
        {LIB: "deps"},
        under("deps", dist_info("pip", "24.1", requires_python=">=3.8")),
    ),
    Case(
        "editable-install",
        "fails",
        "__editable__.a-1.pth",
        "--no-deps .",
        {LIB: "deps"},
        {**PLAIN, "deps/__editable__.a-1.pth": "/src"},
    ),
    Case(
        "editable-install", "fails", "a.egg-link", "--no-deps .", {LIB: "deps"}, {**PLAIN, "deps/a.egg-link": "/src\n."}
    ),
    Case(
        "editable-install",
        "fails",
        "alpha-1.0.dist-info",
        "--no-deps .",
        {LIB: "deps"},
        {**PLAIN, "deps/alpha-1.0.dist-info/direct_url.json": '{"url": "file:///a", "dir_info": {"editable": true}}'},
    ),
    Case(
        "pth-is-dead",
        "fails",
        "adds /elsewhere",
        "when it is mounted",
        {LIB: "deps"},
        {**PLAIN, "deps/x.pth": "/elsewhere\n"},
    ),
    Case(
        "pth-is-dead",
        "warning",
        "runs code",
        "when it is mounted",
        {LIB: "deps"},
        {**PLAIN, "deps/x.pth": "import x\n"},
    ),
    Case(
        "packages-need-another-python",
        "fails",
        "beta",
        "--python 3.7.16",
        {LIB: "deps"},
        under("deps", dist_info("beta", requires_python=">=3.8")),
    ),
    Case(
        "wheels-for-another-target",
        "fails",
        "beta (cp38-cp38-manylinux2014_x86_64)",
        "--python 3.7.16",
        {LIB: "deps"},
        under("deps", dist_info("beta", tags=["cp38-cp38-manylinux2014_x86_64"])),
    ),
    Case(
        "wheels-for-another-target",
        "fails",
        "macosx",
        "bundle create",
        {LIB: "deps"},
        under("deps", dist_info("beta", tags=["cp37-cp37m-macosx_10_9_x86_64"])),
    ),
    Case(
        "wheels-for-newer-glibc",
        "warning",
        "manylinux_2_28",
        "manylinux_2_27",
        {LIB: "deps"},
        under("deps", dist_info("beta", tags=["cp37-cp37m-manylinux_2_28_x86_64"])),
    ),
    Case(
        "requirements-missing",
        "warning",
        "gamma (for beta)",
        "pip install --target deps gamma",
        {LIB: "deps"},
        under("deps", dist_info("beta", requires_dist="gamma; python_version < '3.8'")),
    ),
    Case(
        "bytecode-goes-stale",
        "warning",
        "__pycache__/__init__",
        "unchecked-hash",
        {LIB: "deps"},
        {"deps/a/__init__.py": "", "deps/a/__pycache__/__init__.cpython-37.pyc": b"B\r\r\n" + bytes(12)},
    ),
    Case(
        "modules-for-another-python",
        "fails",
        "a/x.cpython-38-x86_64-linux-gnu.so",
        "--python 3.7.16",
        {LIB: "deps"},
        {**PLAIN, "deps/a/x.cpython-38-x86_64-linux-gnu.so": ""},
    ),
    Case(
        "modules-for-another-python",
        "fails",
        "x.cpython-37m-darwin.so",
        "bundle create",
        {LIB: "deps"},
        {**PLAIN, "deps/x.cpython-37m-darwin.so": ""},
    ),
    Case(
        "modules-for-another-python",
        "fails",
        "x.cp37-win_amd64.pyd",
        "bundle",
        {LIB: "deps"},
        {**PLAIN, "deps/x.cp37-win_amd64.pyd": ""},
    ),
    # Files the server reads
    Case(
        "server-reads-file", "fails", "no JSON object", "mv config.json model_config.json", files={"config.json": "[1]"}
    ),
    Case(
        "server-reads-file",
        "fails",
        "no JSON object",
        "mv on/config.json",
        files={"on/s.py": "", "on/config.json": "x"},
        script="on/s.py",
    ),
    Case("server-reads-file", "fails", "no JSON object", "model_logging.json", files={"logging.json": ""}),
    Case("server-reads-file", "fails", "'version': 1", "model_logging.json", files={"logging.json": "{}"}),
    Case(
        "server-reads-file", "warning", "hidden_size", "model_config.json", files={"config.json": '{"hidden_size": 4}'}
    ),
    Case(
        "server-file-in-packages",
        "warning",
        "logging.json",
        "remove",
        {LIB: "deps"},
        {**PLAIN, "deps/logging.json": "{}"},
    ),
    # Upload
    Case(
        "upload-drops-files",
        "fails",
        "line 3 of .gitignore, *.so: deps/a/x.so",
        "cp .gitignore .amlignore && printf '%s\\n' '' '!/deps' '!/deps/**' >> .amlignore",
        {LIB: "deps"},
        {**PLAIN, "deps/a/x.so": "", ".gitignore": GITIGNORE},
    ),
    Case(
        "upload-drops-files",
        "fails",
        "line 1 of .amlignore, site-packages/",
        "printf '%s\\n' '' '!/t' '!/t/**' >> .amlignore",
        {LIB: "t/site-packages"},
        {".amlignore": "site-packages/", ".gitignore": ""},
        {"t": {"form": "tree"}},
    ),
    Case("upload-drops-files", "fails", "score.py", "!/score.py", files={".amlignore": "*.py\n"}),
    Case(
        "upload-drops-files",
        "fails",
        "w/a.whl",
        "!/w",
        {REQ: "r.txt"},
        {"r.txt": "--no-index\n-f w\n", "w/a.whl": "", ".gitignore": "*.whl\n"},
    ),
    Case(
        "upload-drops-bytecode",
        "warning",
        "line 2 of .gitignore",
        ".amlignore",
        {LIB: "deps"},
        {**PLAIN, "deps/__pycache__/alpha.cpython-37.pyc": b"B\r\r\n\1" + bytes(11), ".gitignore": GITIGNORE},
    ),
    Case(
        "upload-drops-bytecode",
        "warning",
        "d/bundle_runtime/__pycache__/boot.cpython-37.pyc",
        "!/d/**",
        {LIB: "d"},
        {".gitignore": GITIGNORE.replace("*.so\nlib/\n", ""), "d/bundle_runtime/__pycache__/boot.cpython-37.pyc": ""},
        {"d": {}},
    ),
    Case(
        "upload-drops-files",
        "fails",
        "t/site-packages/__pycache__/alpha.cpython-37.pyc",
        "!/t/**",
        {LIB: "t/site-packages"},
        {".gitignore": "__pycache__/\n"},
        {"t": {"form": "tree", "files": {"site-packages/__pycache__/alpha.cpython-37.pyc": b""}}},
    ),
    Case("ignore-line-unreadable", "fails", "line 2, '!'", "sed -i 2d .gitignore", files={".gitignore": "x\n!\n"}),
    Case("symlink-broken", "fails", "to nothing", "rm gone", files={"gone": Path("nowhere")}),
    Case("symlink-endless", "fails", "it is in", "rm a/up", files={"a/up": Path("..")}),
    Case("symlink-directory", "warning", "to a directory", ">> .amlignore", files={"a/x.txt": "", "twice": Path("a")}),
    Case("symlink-file", "warning", "to a file", "/copy >> .amlignore", files={"copy": Path("score.py")}),
    Case("upload-is-large", "warning", "101 MB", "bundle create", files={"model.bin": bytes(101_000_000)}),
    Case("upload-is-large", "warning", "2101 files", "bundle create", files={f"many/{n}": "" for n in range(2100)}),
    # Inside the container, where what is there is there
    Case("path-missing", "fails", "names /nowhere", "bundle create", {"PYTHONPATH": "/nowhere"}, inside=True),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_would_fail_is_found_explained_and_answered(case, tmp_path):
    for name, options in case.bundles.items():
        make_bundle(make_folder(tmp_path / "code") / name, **options)
    folder = make_folder(tmp_path / "code", case.files)
    findings = diagnose(deployment(folder, case.script, target=PRESETS[case.target], inside=case.inside, **case.env))
    (finding,) = [item for item in findings if item.name == case.name]
    assert finding.severity == case.severity
    assert case.what in f"{finding.path}: {finding.what}; {finding.why}"
    assert case.type in finding.type
    assert finding.why


def test_an_executable_file_of_the_packages_loses_its_mode(tmp_path):
    folder = make_folder(tmp_path, {**PLAIN, "deps/bin/tool": "#!/bin/sh\n"})
    (folder / "deps/bin/tool").chmod(0o755)
    (finding,) = diagnose(deployment(folder, **{LIB: "deps"}))
    assert (finding.name, finding.path, finding.severity) == ("modes-are-lost", "deps/bin/tool", "warning")


@pytest.mark.parametrize("form", ["packed", "tree"])
def test_a_damaged_bundle_is_sent_to_verify(form, tmp_path):
    folder = make_folder(tmp_path / "code")
    make_bundle(folder / "deps", form=form)
    settings = {LIB: "deps" if form == "packed" else "deps/site-packages"}
    victim = (
        max((folder / "deps/blobs/sha256").iterdir()) if form == "packed" else folder / "deps/site-packages/alpha.py"
    )
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes() + b"more")
    (finding,) = diagnose(deployment(folder, **settings))
    assert finding.name == "bundle-damaged"
    assert finding.type.startswith("bundle verify deps")
    victim.unlink()
    (finding,) = diagnose(deployment(folder, **settings))
    assert finding.name == "bundle-damaged"


def test_nothing_is_found_in_what_is_right(tmp_path):
    for name, form, value in (("packed", "packed", "deps"), ("tree", "tree", "deps/site-packages")):
        folder = make_folder(tmp_path / name, {"on/score.py": "", ".gitignore": GITIGNORE})
        make_bundle(folder / "on/deps", form=form)
        (folder / ".amlignore").write_text(keeping(GITIGNORE, "on/deps"))
        assert diagnose(deployment(folder, "on/score.py", **{LIB: value})) == ()
        assert diagnose(deployment(folder, "on/score.py", PYTHONPATH=f"on/{value}")) == ()
    folder = make_folder(tmp_path / "plain", PLAIN)
    assert diagnose(deployment(folder, **{LIB: "deps"})) == ()
    folder = make_folder(
        tmp_path / "wheels", {"requirements.txt": "--no-index\n--find-links wheels\n", "wheels/a.whl": ""}
    )
    assert diagnose(deployment(folder, **{REQ: "requirements.txt"})) == ()
    folder = make_folder(tmp_path / "new", PLAIN)
    assert diagnose(deployment(folder, PYTHONPATH="deps", target=PRESETS["azureml-py312"])) == ()


def test_the_server_s_own_files_are_no_mistakes(tmp_path):
    files = {"config.json": '{"SCORING_TIMEOUT_MS": 6000}', "logging.json": '{"version": 1}', "on/config.json": ""}
    assert diagnose(deployment(make_folder(tmp_path, {**files, "on/score.py": ""}), "on/score.py")) == ()


def test_what_was_meant_by_a_wrong_path_is_looked_at_in_the_same_run(tmp_path):
    folder = make_folder(tmp_path, {"on/score.py": "", "on/deps/a.pth": "/x\n", "on/deps/alpha.py": ""})
    findings = diagnose(deployment(folder, "on/score.py", **{LIB: "on/deps"}))
    assert [finding.name for finding in findings] == ["path-missing", "pth-is-dead"]


def test_packages_that_have_what_they_require_and_pyc_that_stay_valid_are_right(tmp_path):
    beta = under("deps", dist_info("beta", requires_dist="Alpha>=1"))
    pyc = {"deps/a/__init__.py": "", "deps/a/__pycache__/__init__.cpython-37.pyc": b"B\r\r\n\1" + bytes(11)}
    assert diagnose(deployment(make_folder(tmp_path, {**PLAIN, **beta, **pyc}), **{LIB: "deps"})) == ()


def test_a_bundle_needs_the_glibc_of_its_wheels_and_not_that_of_its_target(tmp_path):
    folder = make_folder(tmp_path / "code")
    make_bundle(folder / "deps", target=PY37._replace(libc_version="2.31"), libc_version="2.17")
    assert diagnose(deployment(folder, **{LIB: "deps"})) == ()


def test_a_line_in_the_entry_script_is_enough(tmp_path):
    folder = make_folder(tmp_path, {"score.py": "import bundle_runtime\nbundle_runtime.mount('deps')\n"})
    make_bundle(folder / "deps", mounts=False)
    assert diagnose(deployment(folder)) == ()


def test_settings_of_azure_that_are_right_are_no_mistakes(tmp_path):
    settings = {
        "AML_APP_INSIGHTS_ENABLED": "true",
        "AML_APP_ROOT": "/var/azureml-app",
        "AZUREML_CONDA_ENVIRONMENT_PATH": "/opt/miniconda/envs/amlenv",
        "AZUREML_DEBUG_PORT": "5678",
        "AZUREML_ENTRY_SCRIPT": "score.py",
        "AZUREML_INFERENCE_SERVER_HTTP_ENABLED": "True",
        "AZUREML_MODEL_DIR": "azureml-models",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "error",
        "WORKER_COUNT": "2",
    }
    assert diagnose(deployment(make_folder(tmp_path), **settings)) == ()


def test_what_fails_comes_first(tmp_path):
    folder = make_folder(tmp_path, {"copy": Path("score.py"), "gone": Path("nowhere")})
    severities = [item.severity for item in diagnose(deployment(folder, None, **{LIB: "x"}))]
    assert severities == ["fails", "fails", "warning", "warning"]


def test_metadata_that_makes_no_sense_is_passed_over(tmp_path):
    odd = dist_info("odd", tags=["nonsense"], requires_python="about 3", requires_dist="=== !")
    odder = dist_info("odder", requires_dist="a; os_name >= 'x' and no_such == '1'")
    files = {"deps/odd.py": "", **under("deps", {**odd, **odder}), "deps/x-1.dist-info/direct_url.json": "[]"}
    assert diagnose(deployment(make_folder(tmp_path, files), **{LIB: "deps"})) == ()


def test_a_folder_that_is_not_there_is_wrong_use(tmp_path):
    with pytest.raises(UsageError):
        diagnose(deployment(tmp_path / "nowhere"))


def names_in_the_code():
    """Return every name that a Finding can have: constants, also where one of two is chosen."""
    names = {f"symlink-{kind}" for kind in _LINKS}
    for path in [ROOT / "bundler/azureml/doctor.py", *(ROOT / "bundler/azureml/doctoring").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
                (value,) = [keyword.value for keyword in node.keywords if keyword.arg == "name"]
                if not isinstance(value, ast.JoinedStr):
                    names |= {item.value for item in ast.walk(value) if isinstance(item, ast.Constant)}
    return names


def test_every_finding_is_documented_and_tested():
    documented = set(re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "docs/doctor.md").read_text(), re.MULTILINE))
    tests = "\n".join(path.read_text() for path in sorted((ROOT / "tests/azureml").rglob("test_*.py")))
    assert documented == names_in_the_code()
    assert {name for name in documented if f'"{name}"' not in tests} == set()
