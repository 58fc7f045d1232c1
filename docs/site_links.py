"""A Sphinx extension: links of pages and READMEs to files of the project become links of the site.

It also adds to the finished pages what a screen reader and a keyboard need, and the theme leaves out.

A page that holds ``<!-- file: egs/own/README.md -->`` is that file.  A link to a file that is a page leads there, a
link to any other file becomes its name, and a link to what does not exist stops the build.
"""

import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FILE = re.compile(r"<!-- file: (\S+?)(, without its title)? -->")
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def pages(docs: Path) -> dict[Path, Path]:
    """Which file of the project is which page of the site."""
    found = {}
    for page in docs.rglob("*.md"):
        found[page.resolve()] = page
        for name, _ in FILE.findall(page.read_text(encoding="utf-8")):
            found[(ROOT / name).resolve()] = page
            # a link to the folder of a README means the README
            found.setdefault((ROOT / name).resolve().parent, page)
    return found


def rewritten(text: str, origin: Path, page: Path, known: dict[Path, Path]) -> str:
    """The text of the file ``origin`` with its links as those of ``page``.

    Raises:
        ValueError: a link leads to no file of the project.
    """

    def link(match: re.Match[str]) -> str:
        picture, words, url = match.groups()
        if re.match(r"[a-z]+:|#", url):
            return match[0]
        path, _, heading = url.partition("#")
        target = (origin.parent / path).resolve()
        if not target.exists():
            raise ValueError(f"{origin.relative_to(ROOT)}: the link to {url} leads nowhere")
        if picture:
            return f"![{words}]({os.path.relpath(target, page.parent)})"
        if target in known:
            there = os.path.relpath(known[target], page.parent)
            return f"[{words}]({there}{'#' + heading if heading else ''})"
        name = target.relative_to(ROOT).as_posix()
        words = words.strip("`")
        return f"`{name}`" if words in name or name in words else f"{words} (`{name}`)"

    return LINK.sub(link, text)


def read(app: Any, docname: str, source: list[str]) -> None:
    """Sphinx's event source-read."""
    docs = Path(app.srcdir)
    page, known = docs / f"{docname}.md", pages(docs)
    text = rewritten(source[0], page, page, known)

    def put_in(match: re.Match[str]) -> str:
        origin = ROOT / match[1]
        inside = origin.read_text(encoding="utf-8")
        if match[2]:
            inside = inside.partition("\n")[2]
        return rewritten(inside, origin, page, known)

    source[0] = FILE.sub(put_in, text)


SPOKEN = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="All pages">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="This page">',
    "<pre>": '<pre tabindex="0">',
}


def finish(app: Any, error: Exception | None) -> None:
    """Sphinx's event build-finished: levels of headings, names of landmarks, blocks that keys can scroll."""
    for path in Path(app.outdir).rglob("*.html") if error is None else ():
        text = path.read_text(encoding="utf-8")
        for plain, spoken in SPOKEN.items():
            text = text.replace(plain, spoken)
        path.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Sphinx's entry."""
    app.connect("source-read", read)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
