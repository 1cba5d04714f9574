"""Pins + indexes → warnings: projects that several of the user's indexes offer, and indexes that refused.

* Where two indexes have a project of one name, whoever may publish at the one may take the place of the other
  (dependency confusion). So each such project is named, with the indexes, and the one that its wheel came from.
* No warning where the others list the very file that was taken, with its hash: a mirror changes nothing.
* None for a project with an index of its own, and none for what came from ``--find-links`` or a URL.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bundler.fetching.index_options import redacted
from bundler.fetching.index_pages import read_index_pages
from bundler.locks import without_credentials
from bundler.resolving.indexes.asked_indexes import indexes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from bundler.fetching.index_options import IndexOptions
    from bundler.fetching.index_pages import IndexPage
    from bundler.pins import Pin


def offered_twice(pins: Iterable[Pin], indexes: IndexOptions, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each set of indexes that offer the same projects of *pins*."""
    if len(indexes_of(indexes)) < 2:  # noqa: PLR2004 - one index offers nothing twice
        return
    own = {name for name, _ in indexes.index_for}
    asked = {pin.name: pin for pin in pins if pin.name not in own}
    pages = read_index_pages(((index, name) for index in indexes_of(indexes) for name in asked), indexes, environ)
    yield from _refusals(pages)
    found: dict[tuple[tuple[str, ...], str], list[NormalizedName]] = defaultdict(list)
    for name, pin in asked.items():
        offers = [page for index in indexes_of(indexes) for page in pages if (page.index, page.name) == (index, name)]
        offers = [page for page in offers if page.files]
        taken = _taken(pin, offers)
        if taken is not None and not all(_has_same(page, pin) for page in offers if page is not taken):
            found[tuple(redacted(page.index) for page in offers), redacted(taken.index)].append(name)
    for (places, place), names in found.items():
        what = f"{', '.join(sorted(names))}: {'is' if len(names) == 1 else 'are'} offered by {' and by '.join(places)}"
        what += f"; taken from {place}"
        yield f"{what}: if that is wrong, say where it comes from with --index-for {min(names)}=URL"


def _taken(pin: Pin, offers: Sequence[IndexPage]) -> IndexPage | None:
    """Return the page that the wheel of *pin*, or what it was built from, came from."""
    source = pin if pin.build is None else pin.build.source
    urls = {without_credentials(source.url)} if source.url else set()
    urls |= {source.path.as_uri()} if source.path is not None and source.path.is_absolute() else set()
    for page in offers:
        link = page.files.get(source.filename)
        if link is not None and link.url in urls:
            return page
    return next((page for page in offers if source.filename in page.files), None)


def _has_same(page: IndexPage, pin: Pin) -> bool:
    """Tell whether *page* lists the very file of *pin*."""
    source = pin if pin.build is None else pin.build.source
    link = page.files.get(source.filename)
    return link is not None and link.sha256 == source.sha256


def _refusals(pages: Sequence[IndexPage]) -> Iterator[str]:
    """Yield a warning for each index that refuses all it was asked for, or wants credentials."""
    for index in dict.fromkeys(page.index for page in pages):
        answers = [page for page in pages if page.index == index]
        refused = sorted({page.refused for page in answers if page.refused is not None})
        # Some indexes refuse (403) what they do not have.
        if refused and (all(page.refused for page in answers) or refused[0].startswith("401")):
            yield f"{redacted(index)}: access is refused ({', '.join(refused)}), so nothing was taken from there"
