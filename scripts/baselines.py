"""What Azure ML publishes of its inference images → a list for each preset of ``bundler/resolving/baseline/images``.

* The images themselves are not looked at. SOURCES says for each preset what is asked for in its image, and where that
  is written; today's package index and bundler's own resolver make versions of it, for the preset's Python.
* ``{{latest-pypi-version}}`` in Azure ML's files is filled in when an image is built; here it is today's newest version
  for the preset's Python.
* Nothing but names, versions and Requires-Dist is kept, in the format of ``pip inspect``; under ``baseline``, where the
  list is from.
"""

from __future__ import annotations

import argparse
import datetime as dt
import functools
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uv

from bundler.caching.build_cache import Cache
from bundler.create import lock
from bundler.fetching.index_options import index_options
from bundler.options import Options
from bundler.reporters import Reporter
from bundler.resolving.baseline.baselines import Baseline, Installed
from bundler.resolving.baseline.bundled_baselines import LISTS
from bundler.resolving.baseline_requirements import complete_requirements
from bundler.targets import PRESETS
from bundler.wheels.wheel_reader import Wheel

ROOT = Path(__file__).parent.parent
ASSETS = "assets/inference/environments"
LATEST = "{{latest-pypi-version}}"


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is asked for in an *image*, as *source* says; *locked* is a file of pins in scripts/locks."""

    image: str
    source: str
    asked: tuple[str, ...] = ()
    locked: str | None = None


def assets(environment: str, commit: str) -> str:
    """Return the words for the file of an *environment* in the repository of Azure ML's environments."""
    return f"Azure/azureml-assets, {ASSETS}/{environment}/context/conda_dependencies.yaml at commit {commit}"


SOURCES = {
    # No file of these images is published. Microsoft's documentation lists the minimal one, without packages.
    "azureml-py37": Source(
        image="minimal-ubuntu18.04-py37-cpu-inference",
        source="scripts/locks/inference-server-0.8.4.2.txt, the last server for Python 3.7 and what it requires: "
        "no file of the image is published",
        locked="inference-server-0.8.4.2.txt",
    ),
    "azureml-py38": Source(
        image="minimal-ubuntu20.04-py38-cpu-inference",
        source=assets("minimal-ubuntu20.04-py38-cpu-inference", "74887eaacb0a9b9b7c5117cd87e1aa56613b4f45"),
        asked=(
            *("pip==22.1.2", "azureml-inference-server-http==" + LATEST),
            *("cryptography>=41.0.3", "requests>=2.31.0", "certifi>=2023.07.22", "wheel>=0.38.1"),
        ),
    ),
    "azureml-py39": Source(
        image="minimal-ubuntu20.04-py39-cpu-inference",
        source=assets("minimal-ubuntu20.04-py39-cpu-inference", "2b07d532aa57634a1edef9e17ebaf6e006938de9"),
        asked=(
            *("pip==22.1.2", "azureml-inference-server-http==" + LATEST),
            *("cryptography>=41.0.3", "requests>=2.31.0", "certifi>=2023.07.22", "wheel>=0.38.1"),
        ),
    ),
    "azureml-py310": Source(
        image="none that is known: a server for Python 3.10",
        source="azureml-inference-server-http, the newest for Python 3.10 and what it requires: "
        "no file of an image with this Python is published",
        asked=("azureml-inference-server-http==" + LATEST,),
    ),
    "azureml-py311": Source(
        image="minimal-py311-inference",
        source=assets("minimal-py311-inference", "5b5738213a372ee364894caa416ee8727accb673")
        + "; today's newest do not go together: azure-storage-blob, azure-identity and joblib are the newest that do",
        asked=(
            *("pip==26.0", "azureml-defaults==" + LATEST, "azureml-inference-server-http==" + LATEST),
            *("azure-storage-blob", "azure-identity", "numpy", "joblib"),
        ),
    ),
    "azureml-py312": Source(
        image="minimal-py312-cuda12.4-inference",
        source=assets("minimal-py312-cuda12.4-inference", "87929f06bd6ce33b73b82251502bf93a1e237ae6"),
        asked=("pip==24.0", "azureml-inference-server-http==" + LATEST, "numpy==" + LATEST),
    ),
}


def filled(requirement: str, python: str) -> str:
    """Return *requirement* with today's newest version for *python* where the newest is asked for."""
    name, operator, version = requirement.partition("==")
    if version != LATEST:
        return requirement
    arguments = ("pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-deps", "--python-version", python)
    answer = subprocess.run(
        [uv.find_uv_bin(), *arguments, "-"], input=name, capture_output=True, check=True, text=True
    ).stdout.strip()
    if not answer.startswith(name + operator):
        raise SystemExit(f"{requirement}: no version of one is known: {answer}")
    return answer


def make_list(preset: str, today: str) -> dict[str, Any]:
    """Return the list of *preset*, resolved *today*."""
    source = SOURCES[preset]
    options = Options(
        target=PRESETS[preset], indexes=functools.cache(index_options), cache=Cache.default(os.environ), compile="never"
    )
    files = [ROOT / "scripts" / "locks" / source.locked] if source.locked else []
    asked = [filled(requirement, options.target.python) for requirement in source.asked]
    locked = lock(asked, requirement_files=files, options=options)
    packages = {}
    for pin in locked.pins:
        requires = None
        if pin.build is not None:
            with Wheel.open(options.cache.wheel(pin.sha256), pin, warn=Reporter().warning) as wheel:
                requires = list(wheel.requires)
        packages[pin.name] = Installed.of(pin.name, str(pin.version), requires)
    baseline = complete_requirements(
        Baseline(where=preset, packages=packages),
        target=options.target,
        indexes=options.indexes,
        cache=options.cache,
        offline=False,
    )
    for item in baseline.packages.values():
        if item.requires is None or item.unknown:
            raise SystemExit(f"{preset}: {item}: {item.unknown}")
    about = {"preset": preset, "image": source.image, "source": source.source}
    return {
        "baseline": {**about, "asked": asked, "resolved": today},
        "environment": {"python_full_version": options.target.python},
        "installed": [
            {
                "metadata": {
                    "name": item.name,
                    "version": str(item.version),
                    "requires_dist": sorted(map(str, item.requires or ())),
                }
            }
            for item in baseline.packages.values()
        ],
    }


def main() -> None:
    """Write the lists."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", metavar="PRESET", nargs="*", choices=[[], *SOURCES], help="default: all of them")
    today = dt.datetime.now(dt.UTC).date().isoformat()
    for preset in parser.parse_args().presets or SOURCES:
        made = make_list(preset, today)
        (LISTS / f"{preset}.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
        print(f"{preset}: {len(made['installed'])} packages")


if __name__ == "__main__":
    main()
