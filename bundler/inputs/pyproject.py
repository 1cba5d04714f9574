"""``pyproject.toml`` → its dependencies, with those of the extras and groups that are chosen.

* ``[project]`` and ``[dependency-groups]`` as PEP 621 and PEP 735 say; where there is no ``[project]``, the
  ``[tool.poetry]`` of older projects (``poetry_projects``).
* The project itself is not asked for, and nothing of it runs. What it works out while it is built (``dynamic``) is only
  had by building it.
* A dependency is a requirement of PEP 508: a path or an option is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.dependency_groups import DependencyGroupResolver
from packaging.requirements import InvalidRequirement
from packaging.utils import canonicalize_name

from bundler.inputs.documents import Table, line_of, read_document
from bundler.inputs.listings import Input, Line, Listing, line_text
from bundler.inputs.poetry_projects import PoetryProject
from bundler.inputs.python_versions import WantedPython
from bundler.markers import parse_requirement
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packaging.utils import NormalizedName

    from bundler.inputs.listings import Chosen

_OWN_GROUPS = "dev-dependencies"


def read_pyproject(path: Path, chosen: Chosen) -> Input:
    """Return what the project at *path* depends on; raise ``UsageError`` if it does not say."""
    text, root = read_document(path)
    return parse_pyproject(text, root, path, chosen)


def parse_pyproject(text: str, root: Table, path: Path, chosen: Chosen) -> Input:
    """Return what *root*, the contents of *text*, depends on."""
    project, poetry = root.table("project"), root.table("tool").table("poetry")
    old = PoetryProject(text=text, table=poetry, path=path)
    is_old = "dependencies" not in project and "dependencies" in poetry
    if not project.fields and not is_old and not root.table("dependency-groups").fields:
        raise UsageError(path, "names no dependencies: it has no [project]", hint="name another file, or requirements")
    reader = _Reader(text, root, path)
    if is_old:
        lines, python = old.lines(chosen.extras), old.python()
    else:
        lines, python = [*reader.dependencies()], None
    if "requires-python" in project:
        python = reader.python()
    for extra in sorted(chosen.extras & set(reader.extras)):
        lines += reader.of_extra(extra, ())
    for group in sorted(chosen.groups):
        lines += reader.of_group(group) if group in reader.groups else old.group(group)
    return Input(
        path=path,
        requirements=Listing(path=path, lines=tuple(lines)),
        python=python,
        extras=frozenset(reader.extras) | old.extras,
        groups=frozenset(reader.groups) | old.groups,
        warnings=tuple(reader.warnings()),
    )


class _Reader:
    """Reads what is standard in a ``pyproject.toml``."""

    def __init__(self, text: str, root: Table, path: Path) -> None:
        self._text = text
        self._path = path
        self._root = root
        self._project = root.table("project")
        self._name = canonicalize_name(self._project.text("name"))
        self._optional = self._project.table("optional-dependencies")
        self.extras: dict[NormalizedName, str] = {canonicalize_name(name): name for name in self._optional.fields}
        self.groups = self._groups()

    def _groups(self) -> dict[NormalizedName, Table]:
        """Return the tables that have the groups, by their names; the standard's go before the tools' own."""
        tool = self._root.table("tool")
        uv, pdm = tool.table("uv"), tool.table("pdm").table(_OWN_GROUPS)
        own = [Table(fields={"dev": uv.texts(_OWN_GROUPS)}, where=uv.where)] if _OWN_GROUPS in uv else []
        tables = [*own, pdm, self._root.table("dependency-groups")]
        return {canonicalize_name(name): table for table in tables for name in table.fields}

    def dependencies(self) -> list[Line]:
        """Return the lines of the main dependencies."""
        self._refuse_dynamic("dependencies")
        return [self._line(text, "dependencies") for text in self._project.texts("dependencies")]

    def python(self) -> WantedPython:
        """Return the Python that the project requires."""
        text = self._project.text("requires-python")
        where = f"{self._path.name}:{line_of(self._text, 'requires-python')}"
        return WantedPython.of(text, text=f"requires-python {text}", where=where)

    def of_extra(self, name: NormalizedName, parents: tuple[NormalizedName, ...]) -> Iterator[Line]:
        """Yield the lines of the extra *name*; of one that names the project itself with extras, theirs."""
        self._refuse_dynamic("optional-dependencies")
        if name not in self.extras:
            where = f"{self._path.name}: {parents[-1]}"
            raise UsageError(where, "names an extra that is not there", got=name, want=", ".join(self.extras))
        if name in parents:
            return
        for text in self._optional.texts(self.extras[name]):
            line = self._line(text, self.extras[name])
            requirement = parse_requirement(line.text)
            if self._name and canonicalize_name(requirement.name) == self._name and requirement.extras:
                for other in sorted(requirement.extras):
                    yield from self.of_extra(canonicalize_name(other), (*parents, name))
            else:
                yield line

    def of_group(self, name: NormalizedName) -> list[Line]:
        """Return the lines of the group *name*, with those of the groups that it includes."""
        table = self.groups[name]
        try:
            requirements = DependencyGroupResolver(dict(table.fields)).resolve(name)
        except (ExceptionGroup, ValueError, TypeError, AttributeError, LookupError) as error:
            first: BaseException = error
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            what = f"has no group that PEP 735 knows: {str(first).splitlines()[0]}"
            raise UsageError(f"{self._path.name}: {name}", what) from None
        return [self._line(str(requirement), name, requirement.name) for requirement in requirements]

    def warnings(self) -> Iterator[str]:
        """Yield what a user should hear."""
        sources = self._root.table("tool").table("uv").table("sources")
        if sources.fields:
            names = ", ".join(sources.fields)
            yield f"where [tool.uv.sources] has {names} is not read: name uv.lock, which has the place"

    def _line(self, text: str, *places: str) -> Line:
        number = line_of(self._text, *places[:1], *(places[1:] or (text,)))
        where = f"{self._path.name}:{number}"
        try:
            parse_requirement(text)
        except InvalidRequirement as error:
            raise UsageError(where, f"is not a requirement: {str(error).splitlines()[0]}", got=text) from None
        return Line(number=number, text=line_text(text, where))

    def _refuse_dynamic(self, key: str) -> None:
        if key not in self._project.texts("dynamic"):
            return
        directory = str(self._path.parent)
        directory = directory if directory.startswith((".", "/")) else f"./{directory}"
        raise UsageError(
            f"{self._path.name}:{line_of(self._text, 'dynamic')}",
            f"says that the project works out its {key} when it is built",
            got="dynamic",
            want=key,
            hint=f"name the project's directory, which is built: {directory}",
        )
