"""Requirements without a solution → which of them cannot be had, each with its reason, or which contradict each other.

* Each is asked for alone. What fails then fails whatever the others say; all of it is named in one run, with file and
  line, and with the way by which it leads to what cannot be had.
* Else some contradict each other. Others are taken away, one by one, as long as there is no solution: what is left is
  the contradiction, and nothing but it.
* What is proposed was tried: a version, or another preset on which everything can be had.
* Nothing is built for that. A question that would need it counts as answered.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.fetching.index_options import redacted_text
from bundler.locks import applicable
from bundler.resolving.exact_target import compile_fitting
from bundler.resolving.resolver_errors import (
    NoWheelError,
    ResolutionError,
    SeveralUnavailable,
    not_found,
    resolver_error,
)
from bundler.resolving.uv.unsolved import Unsolved
from bundler.resolving.wheel_versions import nearest
from bundler.targets import PRESETS, marker_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from packaging.pylock import Pylock

    from bundler.resolving.lines.requirement_lines import RequirementLine
    from bundler.resolving.sources import SourcesQuery
    from bundler.runtime.errors import BundleError

PYTHON = canonicalize_name("python")  # as if it were a project that is required
_AT_ONCE = 4
_MAX_LINES = 60  # among which contradictions are looked for one by one
_MAX_CONTRADICTIONS = 5
_ROUNDS = 8
_LONGEST = 700  # of uv's explanation


def diagnose(unsolved: Unsolved, query: SourcesQuery, lines: Iterable[RequirementLine]) -> BundleError:
    """Return the error for *unsolved*, uv's answer to *query*, which asks for *lines*."""
    if query.sources is not None and (failure := query.sources.failure_behind(unsolved)):
        return _unbuildable(*failure, query)
    if not unsolved.is_no_solution or unsolved.is_offline or unsolved.is_about_places:
        return plain_error(unsolved, query)
    markers = marker_environment(query.target)
    wanted = [line for line in lines if line.is_wanted(markers)]
    asking = _Asking(query)
    errors = [_unavailable(line, failed, asking) for line, failed in asking.each(wanted)]
    if not errors:
        return _contradictions(unsolved, wanted, asking)
    other = asking.other_preset(wanted)
    if len(errors) > 1:
        return SeveralUnavailable(errors, "cannot be had", other)
    if other:
        errors[0].hint = f"{other}; or {errors[0].hint}" if errors[0].hint else other
    return errors[0]


def plain_error(unsolved: Unsolved, query: SourcesQuery) -> BundleError:
    """Return the error for *unsolved* as it stands, nothing asked again but the nearest versions."""
    return resolver_error(
        unsolved,
        target=query.target,
        indexes=query.indexes,
        offline=query.offline,
        nearest=partial(nearest, query),
    )


def _unbuildable(name: str, version: str, error: BundleError, query: SourcesQuery) -> BundleError:
    """Return *error*, why the source of *version* cannot be built, with the nearest versions that have a wheel."""
    if found := " and ".join(map(str, nearest(query, name, version))):
        error.hint = f"the nearest versions with a wheel: {name} {found}; or {error.hint}"
    return error


class _Asking:
    """Asks *query*'s index for other requirements, and builds nothing."""

    def __init__(self, query: SourcesQuery) -> None:
        self.query = replace(query, may_build=False)

    def each(self, lines: Sequence[RequirementLine]) -> list[tuple[RequirementLine, Unsolved]]:
        """Return those of *lines* that have no solution alone."""
        query = replace(self.query, constraints=())
        with ThreadPoolExecutor(_AT_ONCE, "diagnose") as pool:
            answers = pool.map(lambda line: _answer(query, [line.text]), lines)
            return [(line, answer) for line, answer in zip(lines, answers, strict=True) if isinstance(answer, Unsolved)]

    def answer(self, texts: Iterable[str]) -> Pylock | Unsolved | None:
        """Return the solution of *texts* together, or what is said if there is none; None if that is not known."""
        return _answer(self.query, texts)

    def newest(self, name: str) -> str | None:
        """Return the newest version of the project *name* that the target can have, if it can have one."""
        return self.version_in(_answer(replace(self.query, constraints=()), [name]), name)

    def version_in(self, answer: Pylock | Unsolved | None, name: str) -> str | None:
        """Return the version of the project *name* in *answer*, if that is a solution."""
        if answer is None or isinstance(answer, Unsolved):
            return None
        packages = applicable(answer.packages, self.query.target)
        return next((str(item.version) for item in packages if item.name == canonicalize_name(name)), None)

    def other_preset(self, lines: Sequence[RequirementLine]) -> str | None:
        """Return which preset, newer than the target, can have all *lines*, as a hint; None if none can."""
        names = list(PRESETS)
        at = next((n for n, name in enumerate(names) if PRESETS[name] == self.query.target), len(names))
        for name in names[at + 1 :]:
            answer = _answer(replace(self.query, target=PRESETS[name]), [line.text for line in lines])
            if answer is not None and not isinstance(answer, Unsolved):
                return f"--target {name} can have everything, if that is where it is to run"
        return None


def _answer(query: SourcesQuery, texts: Iterable[str]) -> Pylock | Unsolved | None:
    try:
        return compile_fitting(replace(query, requirements=tuple(texts)), rounds=_ROUNDS)
    except Unsolved as unsolved:
        return unsolved if unsolved.is_no_solution or unsolved.is_about_wheels else None


def _at(line: RequirementLine) -> str:
    """Return how *line* is named: with file and line, if it is from a file."""
    text = redacted_text(line.text)
    return text if line.where == "requirement" else f"{line.where}: {text}"


def _unavailable(line: RequirementLine, unsolved: Unsolved, asking: _Asking) -> BundleError:
    """Return the error for *line*, which cannot be had whatever else is asked for."""
    python = asking.query.target.python
    way = unsolved.chain(line.name, PYTHON)
    if unsolved.not_found is not None:
        return _unknown(line, unsolved.not_found, unsolved, asking)
    if unsolved.pythons and len(way) <= 1:
        newest = asking.newest(line.name)
        what = f"needs Python {' or '.join(unsolved.pythons)}, and the target has {python}"
        hint = f"require {line.name}=={newest}, the newest for this Python" if newest else None
        return ResolutionError(_at(line), what, hint=hint, projects=[line.name])
    if line.name in unsolved.without_wheels:
        return _without_wheel(line, unsolved, asking)
    if unsolved.no_version == line.name and not unsolved.is_about_wheels:
        return _without_version(line, asking)
    return _leads_nowhere(line, unsolved, asking)


def _unknown(line: RequirementLine, name: str, unsolved: Unsolved, asking: _Asking) -> BundleError:
    """Return the error for *line*, which is or leads to the project *name*, which no index has."""
    way = unsolved.chain(line.name, canonicalize_name(name))
    error = not_found(name, asking.query.indexes, offline=asking.query.offline)
    if not isinstance(error, ResolutionError):
        return error  # an index that refuses to say
    if way:
        error.where, error.what = _at(line), f"requires {' → '.join(way)}, which {error.what}"
    elif line.where != "requirement":
        error.where = f"{line.where}: {error.where}"
    return error


def _without_wheel(line: RequirementLine, unsolved: Unsolved, asking: _Asking) -> NoWheelError:
    query = asking.query
    missing = unsolved.no_wheel
    found = list(nearest(query, *missing)) if missing else []
    versions = [str(version) for version in found] or list(filter(None, [asking.newest(line.name)]))
    wheels = " ".join(hint for hint in unsolved.hints if "heels are avail" in hint)
    what = f"has no wheel for {query.target}"
    if query.sources is None:
        hint = "leave --build never away, so that it may be built"
    else:
        what += ", and no source that could be built"
        hint = "make a wheel of it elsewhere, and name its directory with --find-links"
    if versions:
        hint = f"the nearest versions with a wheel: {line.name} {' and '.join(versions)}; or {hint}"
    return NoWheelError(_at(line), f"{what}: {wheels}" if wheels else what, hint=hint, projects=[line.name])


def _without_version(line: RequirementLine, asking: _Asking) -> ResolutionError:
    versions = [each.version for each in line.parsed.specifier] if line.parsed is not None else []
    local = next((version.partition("+")[2] for version in versions if "+" in version), "")
    newest = asking.newest(line.name)
    hint = f"the newest that this target can have is {line.name}=={newest}" if newest else None
    if local:
        hint = f"builds such as +{local} are on an index of their own: name it with --extra-index-url"
    return ResolutionError(_at(line), "asks for a version that there is not", hint=hint, projects=[line.name])


def _leads_nowhere(line: RequirementLine, unsolved: Unsolved, asking: _Asking) -> ResolutionError:
    """Return the error for *line*, which can be had, but not what it requires."""
    target = asking.query.target
    missing = unsolved.no_wheel
    culprit, reason = PYTHON, f"the target has {target.python}"
    if missing is not None:
        culprit, reason = missing[0], f"{' '.join(missing)} has no wheel for {target}"
    way = unsolved.chain(line.name, culprit) if missing or unsolved.pythons else []
    what = f"requires {' → '.join(way)}; {reason}" if way else f"cannot be resolved: {_short(unsolved)}"
    kind = ResolutionError if missing is None else NoWheelError
    return kind(_at(line), what, hint=f"require another version of {line.name}", projects=[line.name, culprit])


def _contradictions(unsolved: Unsolved, lines: Sequence[RequirementLine], asking: _Asking) -> BundleError:
    """Return the error for *lines*, each of which can be had, but not all of them together."""
    found: list[ResolutionError] = []
    loosened: list[RequirementLine] = []
    rest, failed = list(lines), unsolved
    while len(rest) <= _MAX_LINES and len(found) < _MAX_CONTRADICTIONS:
        kept, failed = _smallest(rest, failed, asking)
        what = f"contradict each other, and pip would refuse them too: {_short(failed)}"
        where = " and ".join(map(_at, kept))
        found.append(ResolutionError(where, what, projects=[line.name for line in kept]))
        # Rather what another of them needs: who wants pandas and numpy wants pandas.
        needed = [line for line in kept if any(failed.chain(other.name, line.name) for other in kept)]
        loosened.append((needed or kept)[-1])
        rest = [line for line in rest if line is not loosened[-1]]
        answer = asking.answer([line.text for line in rest])
        if not isinstance(answer, Unsolved):
            break
        failed = answer
    if not found:
        return plain_error(unsolved, asking.query)
    hint = _way_out(loosened, lines, asking)
    if len(found) > 1:
        return SeveralUnavailable(found, "contradictions", hint)
    found[0].hint = hint
    return found[0]


def _smallest(
    lines: Sequence[RequirementLine], unsolved: Unsolved, asking: _Asking
) -> tuple[list[RequirementLine], Unsolved]:
    """Return the fewest of *lines* that have no solution together, for which *unsolved* was said; and what is said."""
    kept = list(lines)
    for fewer in ([line for line in kept if unsolved.names(line.name)], *([line] for line in reversed(kept))):
        rest = fewer if len(fewer) > 1 else [line for line in kept if line not in fewer]
        answer = asking.answer([line.text for line in rest]) if rest and len(rest) < len(kept) else None
        if isinstance(answer, Unsolved):
            kept, unsolved = rest, answer
    return kept, unsolved


def _way_out(loosened: Sequence[RequirementLine], lines: Sequence[RequirementLine], asking: _Asking) -> str:
    """Return the hint that says which versions of *loosened* go with all other *lines*."""
    texts = [line.text for line in lines if line not in loosened]
    for line in loosened:
        extras = f"[{','.join(sorted(line.parsed.extras))}]" if line.parsed is not None and line.parsed.extras else ""
        texts.append(f"{line.name}{extras}")
    answer = asking.answer(texts)
    versions = [(line, asking.version_in(answer, line.name)) for line in loosened]
    if any(version is None for _, version in versions):
        return "loosen one of them"
    return f"{', '.join(f'{line.name}=={version}' for line, version in versions)} would go with all others"


def _short(unsolved: Unsolved) -> str:
    text = unsolved.explanation
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
