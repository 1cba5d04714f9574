"""The projects of an environment → exact requirements, and what of it a user should hear.

* A project from an index becomes ``name==version``; one from a URL or a repository, ``name @ URL``, with its hash or
  commit. One from a place of this host where nothing lies any more is asked for by name and version.
* pip, setuptools and wheel are left out unless something installed requires them, as ``pip freeze`` does.
* Nothing is added: what an installed project requires and is not there is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.utils import NormalizedName

    from bundler.inputs.installed.installed_projects import InstalledProject
    from bundler.runtime.targets import Target

_SEEDED = frozenset(map(canonicalize_name, ("pip", "setuptools", "wheel")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What is *taken* of an environment, and what is *left_out*; *unmet* are requirements that it does not meet."""

    taken: tuple[InstalledProject, ...]
    left_out: tuple[InstalledProject, ...]
    unmet: tuple[str, ...]


def take(projects: Mapping[NormalizedName, InstalledProject], target: Target) -> Taken:
    """Return what of *projects* a bundle for *target* takes."""
    kept = [project for name, project in projects.items() if name not in _SEEDED]
    for project in kept:  # which grows meanwhile
        for name in _required(project, target):
            if name in _SEEDED and name in projects and projects[name] not in kept:
                kept.append(projects[name])
    return Taken(
        taken=tuple(sorted(kept, key=lambda project: project.name)),
        left_out=tuple(project for project in projects.values() if project not in kept),
        unmet=tuple(_unmet(kept, projects, target)),
    )


def _required(project: InstalledProject, target: Target) -> set[NormalizedName]:
    return {canonicalize_name(requirement.name) for requirement in project.distribution.requirements(target)}


def _unmet(
    kept: Iterable[InstalledProject], projects: Mapping[NormalizedName, InstalledProject], target: Target
) -> Iterator[str]:
    for project in kept:
        for requirement in project.distribution.requirements(target):
            found = projects.get(canonicalize_name(requirement.name))
            if found is None:
                yield f"{project.name} requires {requirement.name}, which is not installed there"
            elif not requirement.specifier.contains(found.version, prereleases=True):
                wanted = f"{requirement.name}{requirement.specifier}"
                yield f"{project.name} requires {wanted}, and {found.version} is installed there"


def requirement_lines(projects: Iterable[InstalledProject]) -> tuple[list[str], list[str]]:
    """Return a requirement for each of *projects*, and notes about where they are asked for."""
    lines, places, lost = [], [], []
    for project in projects:
        direct = project.direct_url
        gone = direct is not None and direct.commit is None and direct.path and not Path(direct.path).exists()
        if direct is None or gone:
            lines.append(f"{project.name}=={project.version}")
            lost += [str(project)] if gone else []
        else:
            lines.append(direct.requirement(project.name))
            places.append(f"{project} from {direct.url}")
    notes = [f"taken from where they were installed from: {', '.join(places)}"] if places else []
    if lost:
        notes.append(f"installed from files that are not there any more, asked for by name: {', '.join(lost)}")
    return lines, notes
