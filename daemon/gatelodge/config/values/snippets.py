"""
Decides whether text can stand among nginx directives of ours and never leave its block, and puts the snippets that stand in files
into their places.

Text is taken apart by nginx's own rules (ngx_conf_read_token, src/core/ngx_conf_file.c): where a word ends, what a quote, a
backslash and a `#` do. What the directives mean is nginx's to say, when a tree is tested.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from gatelodge.config.document.site_tables import SnippetTable
from gatelodge.config.keys import quoted, written
from gatelodge.errors import ConfigError
from gatelodge.model import Mistake

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.config.shape import Config, SnippetFile

_SPACE = " \t\r\n"
_QUOTES = "\"'"

#: nginx reads its configuration through a buffer of 4096 bytes, which must hold a whole word, and a whole comment.
_LONGEST_WORD = 4000

_LONGEST = 200_000

#: No directive's name is longer.
_LONGEST_NAME = 100

#: Blocks of a language of their own, in which a brace is read by other rules than nginx's.
_FOREIGN = "_by_lua_block"


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """
    What is wrong with a snippet, in which of its lines, counted from 1.
    """

    line: int
    problem: str
    remedy: str


def read(path: Path, given: str | SnippetTable | None, found: Mistakes) -> tuple[str, str | None]:
    """
    Return a snippet's text, and the file in which it stands instead. What is wrong with the text is noted.
    """
    if given is None:
        return "", None
    if isinstance(given, SnippetTable):
        if given.file is None and not found.unread(path):
            found.add(path, "it names no file", 'write { file = "/path" }, or the directives themselves in quotes')
        return "", given.file
    text = tidy(given)
    wrong = problem(text)
    if wrong:
        found.add(path, f"in its line {wrong.line}: {wrong.problem}", wrong.remedy)
    return text, None


def tidy(text: str) -> str:
    """
    Return the text of a snippet with an end to its last line, so that a comment there does not go on in ours.
    """
    return text.removeprefix("\ufeff").replace("\r\n", "\n").rstrip() + "\n"


def problem(text: str) -> Problem | None:
    """
    Say what is wrong with a snippet that is tidy; None when it stays in its block, whatever it says.
    """
    if len(text) > _LONGEST:
        return Problem(1, f"it has more than {_LONGEST} characters", "write less into it")
    reader = _Reader()
    for character in text:
        reader.take(character)
        if reader.wrong:
            return reader.wrong
    return reader.end()


class _Reader:
    """
    Reads characters as nginx does. `_word` is the beginning of the word that was begun, None between words.
    """

    def __init__(self) -> None:
        self.wrong: Problem | None = None
        self._line = 1
        self._opened: list[int] = []  # the lines of the braces that are open
        self._words = 0
        self._word: str | None = None
        self._bytes = 0
        self._began = 1
        self._quote = ""
        self._escaped = False
        self._comment = False
        self._dollar = False  # the last character began a variable, so that a brace after it opens no block
        self._closed_quote = False  # a quote was closed: a space must follow

    def take(self, character: str) -> None:
        """
        Go on by one character.
        """
        if character < " " and character not in _SPACE:
            self._refuse(f"there is a control character ({quoted(character)})", "leave it out")
        elif self._comment:
            self._in_comment(character)
        elif self._escaped:
            self._escaped = False
            self._grow(character)
        elif self._closed_quote:
            self._after_quote(character)
        elif self._word is None:
            self._between(character)
        elif self._quote:
            self._in_quotes(character)
        else:
            self._in_word(character)
        if character == "\n":
            self._line += 1

    def end(self) -> Problem | None:
        """
        Say what is not at an end where the snippet is.
        """
        if self._quote:
            return Problem(self._began, "a quote is opened here and never closed", f"close it with {self._quote}")
        if self._words or self._word is not None or self._closed_quote:
            return Problem(self._began, "the last directive does not end", "write a ; after it")
        if self._opened:
            return Problem(self._opened[-1], "a brace is opened here and never closed", "close it with }")
        return None

    def _between(self, character: str) -> None:
        if character in _SPACE:
            return
        self._began, self._bytes = self._line, 0
        if character in ";{":
            self._finish(character)
        elif character == "}":
            self._close()
        elif character == "#":
            self._comment, self._word = True, ""
        elif character in _QUOTES:
            self._quote, self._word = character, ""
        else:
            self._word = ""
            self._escaped = character == "\\"
            self._dollar = character == "$"
            self._grow(character)

    def _in_word(self, character: str) -> None:
        if character == "{" and self._dollar:
            self._grow(character)  # nginx stays in this state for another
            return
        self._dollar = character == "$"
        if character in _SPACE or character in ";{":
            self._word_ends()
            if character in ";{":
                self._finish(character)
            return
        self._escaped = character == "\\"
        self._grow(character)

    def _in_quotes(self, character: str) -> None:
        if character == self._quote:
            self._word_ends()
            self._quote = ""
            self._closed_quote = True
            return
        self._escaped = character == "\\"
        self._grow(character)

    def _after_quote(self, character: str) -> None:
        self._closed_quote = False
        if character in ";{":
            self._finish(character)
        elif character == ")":
            self._between(character)
        elif character not in _SPACE:
            self._refuse(f"there is {quoted(character)} right after a closing quote", "write a space or ; after it")

    def _in_comment(self, character: str) -> None:
        self._grow(character)
        if character == "\n":
            self._comment, self._word = False, None

    def _grow(self, character: str) -> None:
        self._bytes += 1 if character.isascii() else len(character.encode(errors="replace"))
        if self._bytes <= _LONGEST_NAME:
            self._word = (self._word or "") + character
        elif self._bytes > _LONGEST_WORD:
            self._refuse(f"a word or comment has more than {_LONGEST_WORD} bytes, the most for nginx", "shorten it")

    def _word_ends(self) -> None:
        if not self._words and self._word and self._word.endswith(_FOREIGN):
            self._refuse(
                f"{self._word} has rules of its own for where it ends",
                f"write {self._word.removesuffix('_block')}_file",
            )
        self._words += 1
        self._word = None
        self._dollar = False

    def _finish(self, character: str) -> None:
        if not self._words:
            self._refuse(f"there is a {character} with nothing before it", "take it away")
        elif character == "{":
            self._opened.append(self._line)
        self._words = 0

    def _close(self) -> None:
        if self._words:
            self._refuse("there is a } before the end of a directive", "write a ; before it")
        elif not self._opened:
            self._refuse("there is a } that closes nothing of the snippet's own", "take it away")
        else:
            self._opened.pop()

    def _refuse(self, problem: str, remedy: str) -> None:
        self.wrong = self.wrong or Problem(self._line, problem, remedy)


def filled(config: Config, content: Callable[[str], str]) -> Config:
    """
    Return a configuration with the text of its snippets' files in their places.

    Args:
        content: reads a file; raises `OSError` or `UnicodeDecodeError` when it cannot.

    Raises:
        ConfigError: files cannot be read, or would leave their blocks; all of them are in it.
    """
    mistakes: list[Mistake] = []
    for each in config.snippet_files:
        text, wrong = _content(each, content)
        if wrong is not None:
            mistakes.append(wrong)
        else:
            config = _put(config, each, text)
    if mistakes:
        raise ConfigError(tuple(mistakes))
    return config


def _content(snippet: SnippetFile, content: Callable[[str], str]) -> tuple[str, Mistake | None]:
    place = snippet.file
    try:
        text = tidy(content(snippet.file))
    except OSError as error:
        told = Problem(0, f"{place} cannot be read: {error.strerror or error}", "write it, or name another")
    except UnicodeDecodeError:
        told = Problem(0, f"{place} is not UTF-8", "save it as UTF-8 text")
    else:
        wrong = problem(text)
        if wrong is None:
            return text, None
        told = dataclasses.replace(wrong, problem=f"{place}, line {wrong.line}: {wrong.problem}")
    key = f"{written(snippet.path)}.file"
    return "", Mistake(path=key, problem=told.problem, remedy=told.remedy, line=snippet.line)


def _put(config: Config, snippet: SnippetFile, text: str) -> Config:
    if snippet.stream is not None:
        section = config.streams[snippet.stream]
        section = dataclasses.replace(section, stream=dataclasses.replace(section.stream, snippet=text))
        return dataclasses.replace(config, streams={**config.streams, snippet.stream: section})
    if snippet.site is None:
        slot: dict[str, Any] = {str(snippet.path[-1]): text}
        settings = dataclasses.replace(config.nginx, **slot)
        return dataclasses.replace(config, nginx=settings)
    site = config.sites[snippet.site]
    if snippet.route is None:
        site = dataclasses.replace(site, snippet=text)
    else:
        routes = list(site.routes)
        routes[snippet.route] = dataclasses.replace(routes[snippet.route], snippet=text)
        site = dataclasses.replace(site, routes=tuple(routes))
    return dataclasses.replace(config, sites={**config.sites, snippet.site: site})
