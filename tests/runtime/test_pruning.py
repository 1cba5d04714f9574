"""A cache of trees: what is unused goes, what a live process uses stays."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
import zstandard
from support.image_factory import make_image
from support.interpreters import python, target_of

from bundler.images.carriers import write_carrier

WAIT = "import mod, sys; print(mod.__file__, flush=True); sys.stdin.read(); import later; print(later.value)"


def make(directory, value=1):
    files = {"site-packages/mod.py": b"value = %d\n" % value, "site-packages/later.py": b"value = 42\n"}
    image = make_image(directory / "layers", files, target=target_of("3.7"))
    decode = lambda data, raw: zstandard.ZstdDecompressor().decompress(data, max_output_size=raw)  # noqa: E731
    write_carrier(image, directory / "deps", form="packed", force=False, decode=decode, jobs=1)
    return directory / "deps", image.digest.removeprefix("sha256:")


@pytest.fixture
def deps(tmp_path):
    return make(tmp_path)


def run(path, *arguments):
    answer = subprocess.run(
        [python("3.7"), path, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def listed(path, *arguments):
    return [os.path.basename(tree["path"]) for tree in json.loads(run(path, "cache", *arguments, "--json"))]


def cache():
    return Path(os.environ["BUNDLE_CACHE"])


def age(name, days):
    past = time.time() - days * 86400
    os.utime(cache() / f"{name}.verified", (past, past))


def waiting(path, how):
    env = {**os.environ, "PYTHONPATH": str(path)} if how == "sitecustomize" else None
    command = [python("3.7"), "-c", WAIT]
    if how == "run":
        command = [python("3.7"), path, "run", "--", "python", "-c", WAIT]
    if how == "run, not Python":
        command = [python("3.7"), path, "run", "--", "sh", "-c", "echo ready; cat; python3.7 -c 'import mod'"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)


@pytest.mark.parametrize("how", ["sitecustomize", "run", "run, not Python"])
def test_a_tree_in_use_is_never_removed(how, deps):
    path, name = deps
    run(path, "run", "--", "python", "-c", "")
    with waiting(path, how) as process:
        process.stdout.readline()
        age(name, 1000)
        assert listed(path, "clear") == []
        (tree,) = json.loads(run(path, "cache", "info", "--json"))
        assert tree["in_use"] is True
        rest, _ = process.communicate("")
        assert how == "run, not Python" or rest == "42\n"
    assert listed(path, "clear") == [name]
    assert [each.name for each in cache().iterdir()] == []


def test_a_fork_keeps_the_tree_after_its_parent_has_ended(deps):
    path, name = deps
    code = "import os, sys, mod\nif os.fork(): os._exit(0)\nprint('ready', flush=True); sys.stdin.read()"
    env = {**os.environ, "PYTHONPATH": str(path)}
    command = [python("3.7"), "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        process.stdout.readline()
        process.wait()
        assert listed(path, "clear") == []
        process.communicate("")
    for _ in range(100):
        if listed(path, "clear") == [name]:
            break
        time.sleep(0.05)
    assert not (cache() / name).exists()


def test_prune_goes_by_age_then_by_size_the_least_recently_used_first(deps, tmp_path):
    names = []
    for number in range(3):
        path, name = make(tmp_path / str(number), number)
        run(path, "run", "--", "python", "-c", "")
        age(name, 9 * (3 - number))
        names.append(name)
    assert listed(deps[0], "info") == names
    assert listed(deps[0], "prune", "--max-age", 25) == names[:1]
    size = json.loads(run(deps[0], "cache", "info", "--json"))[1]["size"]
    assert listed(deps[0], "prune", "--max-size", size / 1e6) == names[1:2]
    assert listed(deps[0], "info") == names[2:]
    assert run(deps[0], "cache", "clear").startswith(str(cache()))


def test_what_was_not_used_for_a_month_goes_when_another_tree_comes(deps, tmp_path):
    path, name = deps
    run(path, "run", "--", "python", "-c", "")
    age(name, 31)
    other, other_name = make(tmp_path / "other", 2)
    run(other, "run", "--", "python", "-c", "")
    assert listed(path, "info") == [other_name]


def test_use_is_noted(deps):
    path, name = deps
    run(path, "run", "--", "python", "-c", "")
    age(name, 31)
    run(path, "run", "--", "python", "-c", "")
    assert json.loads(run(path, "cache", "info", "--json"))[0]["age"] < 100


def test_a_tree_that_is_removed_between_two_starts_is_unpacked_again(deps):
    path, _ = deps
    for _ in range(2):
        assert run(path, "run", "--", "python", "-c", "import mod; print(mod.value)") == "1\n"
        run(path, "cache", "clear")


@pytest.mark.slow
def test_processes_that_start_while_others_prune_all_find_their_tree(deps):
    path, _ = deps
    loop = f"for n in $(seq 10); do {python('3.7')} {path} %s > /dev/null || exit 1; done"
    scripts = [loop % "run -- python -c 'import mod, later'", loop % "cache clear"] * 3
    processes = [subprocess.Popen(["sh", "-c", script], stderr=subprocess.PIPE, text=True) for script in scripts]
    for process in processes:
        _, errors = process.communicate(timeout=100)
        assert (process.returncode, errors) == (0, "")


def test_a_finished_tree_is_read_only(deps):
    path, name = deps
    run(path, "run", "--", "python", "-c", "")
    for directory, _, files in os.walk(cache() / name):
        assert os.stat(directory).st_mode & 0o777 == 0o555
        assert {os.stat(os.path.join(directory, file)).st_mode & 0o222 for file in files} <= {0}
