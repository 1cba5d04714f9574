"""What is printed for an Azure ML deployment, and what survives an upload."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from support.image_factory import make_image
from support.interpreters import python, target_of

from bundler.azureml.settings import deployment_of, keep_in_upload, settings_text
from bundler.images.carriers import write_carrier
from bundler.runtime.demands import Demands
from bundler.runtime.errors import UsageError
from bundler.runtime.verifying import verify

DIGEST = "sha256:" + "1" * 64
# As a usual Python project has it: it drops compiled modules and everything in a directory lib.
GITIGNORE = "__pycache__/\n*.py[cod]\n*.so\nlib/\nbuild/\ndist/\n*.egg-info/\n.env\n"
FILES = {
    "site-packages/mod.py": b"value = 42\n",
    "site-packages/fast.cpython-37m-x86_64-linux-gnu.so": b"native",
    "site-packages/pkg/lib/data.txt": b"data",
    "site-packages/__pycache__/other.cpython-37.pyc": b"no code",
    "bin/tool": b"#!/usr/bin/env python3\n",
}


@pytest.mark.parametrize(
    ("form", "out", "score", "variable", "value"),
    [
        ("packed", "app/deps", None, "AZUREML_EXTRA_PYTHON_LIB_PATH", "deps"),
        ("tree", "app/deps", None, "AZUREML_EXTRA_PYTHON_LIB_PATH", "deps/site-packages"),
        ("packed", "mnt/deps", "app/scoring", "AZUREML_EXTRA_PYTHON_LIB_PATH", "../../mnt/deps"),
        ("pyz", "app/deps.pyz", None, "PYTHONPATH", "app/deps.pyz"),
        ("pyz", "app/deps.pyz", "app/scoring", "PYTHONPATH", "app/deps.pyz"),
        ("wheelhouse", "app/wh", None, "AZUREML_EXTRA_REQUIREMENTS_TXT", "wh/requirements.txt"),
    ],
)
def test_settings_are_relative_to_the_entry_script(form, out, score, variable, value, tmp_path):
    deployment = deployment_of(tmp_path / out, form, DIGEST, tmp_path / score if score else None)
    assert deployment.variables[variable] == value
    assert ("BUNDLE_EXPECT" in deployment.variables) == (form != "wheelhouse")
    text = settings_text(deployment)
    block = text[text.index("  environment_variables:") : text.index("on this machine:")]
    assert yaml.safe_load(block) == {"environment_variables": deployment.variables}
    sdk = text[text.index("{") : text.index("})") + 1]
    assert eval(sdk) == deployment.variables
    assert f"-e {variable}={value} \\" in text


def test_a_name_with_a_colon_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no variable of Azure ML can hold"):
        deployment_of(tmp_path / "a:b", "packed", DIGEST, None)


def upload(folder, to):
    """Copy as an upload does: what git would take, bytes only."""
    subprocess.run(["git", "init", "-q", folder], check=True)
    ignore = folder / ".amlignore" if (folder / ".amlignore").exists() else folder / ".gitignore"
    command = ["git", "-c", f"core.excludesFile={ignore}", "ls-files", "--others", "-z"]
    exclude = ["--exclude-from", ignore]
    names = subprocess.check_output([*command, *exclude], cwd=folder, text=True).split("\0")
    for name in filter(None, names):
        if not name.startswith(".git/") and not (folder / name).is_symlink():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            (to / name).write_bytes((folder / name).read_bytes())
            (to / name).chmod(0o640)
            os.utime(to / name, (1, 1))


def start(path):
    env = {**os.environ, "PYTHONPATH": str(path)}
    command = [python("3.7"), "-c", "import mod; print(mod.value)"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


@pytest.mark.parametrize("form", ["packed", "tree"])
def test_what_an_upload_lets_through_still_verifies_and_boots(form, decode, tmp_path):
    app = tmp_path / "app"
    app.mkdir()
    (app / ".gitignore").write_text(GITIGNORE)
    image = make_image(tmp_path / "layers", FILES, target=target_of("3.7"))
    write_carrier(image, app / "deps", form=form, force=False, decode=decode, jobs=1)
    (app / ".env").write_text("SECRET=1")
    if form == "tree":
        upload(app, tmp_path / "without")
        answer = start(tmp_path / "without/deps/site-packages")
        assert answer.returncode == 3
        assert "is missing" in answer.stderr
        assert keep_in_upload(app / "deps") == app / ".amlignore"
        assert keep_in_upload(app / "deps") is None, "once is enough"
    upload(app, tmp_path / "cloud")
    assert not (tmp_path / "cloud/.env").exists(), "the secret was uploaded"
    path = tmp_path / "cloud/deps"
    answer = start(path / "site-packages" if form == "tree" else path)
    assert answer.stdout == "42\n", answer.stderr
    assert verify(str(path), Demands(image.digest), decode=decode).trust == "verified"


def test_nothing_is_written_where_nothing_would_be_dropped(tmp_path):
    deps = tmp_path / "deps.pyz"
    deps.write_bytes(b"")
    assert keep_in_upload(deps) is None
    (tmp_path / ".gitignore").write_text("*.so\n")
    assert keep_in_upload(deps) is None
    (tmp_path / ".gitignore").write_text("*.pyz\n")
    assert keep_in_upload(deps) == tmp_path / ".amlignore"
    assert Path(tmp_path / ".amlignore").read_text().count("deps.pyz") > 1
