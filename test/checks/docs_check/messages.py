"""Error messages, in both directions: what the pages quote is in the sources, and what the programs say is found
on the pages.

The rule: a table whose first column is headed `it says` quotes our messages as code, with `…` where something is filled in.
Each quotation is a part of a string of the programs. And each error (`Fail(Code::…, "…")`, `Error{Code::…, "…"}`) of the
programs has a part that some quotation of SYMPTOMS quotes, unless LEFT_OUT says why nobody looks for it there.
"""

from __future__ import annotations

import fnmatch
import re
from typing import Iterable, Iterator

from names import TROUBLESHOOTING
from pages import Finding, Page, spans_of
from sources import Refusal, Sources

SYMPTOMS = (TROUBLESHOOTING, "docs/sources.md")
HEADING = "it says"
_LEAST = 6  # letters of a quotation: less would be found anywhere

# Codes that are no refusal: somebody else is at work on the same thing, or the caller has left. kubelet and the provisioner
# come back by themselves; the page says so once, for all of them.
PASSING = {"kAborted", "kCancelled"}

# Files whose errors end in the log or in a repair, or are a part of another message.
LEFT_OUT = {
    "cache-daemon/store/*_book.cc": "a record that can't be read is logged and dropped",
    "cache-daemon/store/*_record.cc": "the same; what a listing must not hold is refused by its source before",
    "cache-daemon/store/*_state.cc": "the same",
    "cache-daemon/store/json_fields.cc": "the same",
    "cache-daemon/store/record_*.cc": "the same",
    "cache-daemon/store/recovery.cc": "the start decides by it what to remove",
    "cache-daemon/store/ingest.cc": "checks of the fill's own steps; what the source sent is judged before",
    "cache-daemon/store/store_*.cc": "ids and states that the engine has looked up; it asks again",
    "cache-daemon/store/tree_builder.cc": "the engine refuses the layout before",
    "cache-daemon/api/translate.cc": "the plugin and the command line send no such request",
    "cache-daemon/api/cache_service.cc": "the same",
    "cache-daemon/engine/fill_resumer.cc": "of a fill that nobody waits for: the log has it",
    "cache-daemon/io/posix_*.cc": "system calls, named with errno by whoever asked",
    "cache-daemon/io/buffer_pool.cc": "sizes that the configuration has checked; that memory is short is quoted all the same",
    "base/error.cc": "adds context to another error",
    "csi/linux_mounter.cc": "why a way to mount isn't there: a part of what protections.cc says",
    "csi/mount*.cc": "the same",
    "csi/overlay.cc": "the same",
    "csi/beneath.cc": "the same: a path that leaves its root",
    "csi/unmapped_namespace.cc": "the same",
    "csi/self_test.cc": "the same",
    "cache-daemon/source/s3/aws_*.cc": "why the node's own keys can't be had: a part of what says so",
    "cache-daemon/source/hub/request_budget.cc": "a question that was stopped",
}


def fragments(quotation: str) -> list[str]:
    return [part for part in quotation.split("…") if part.strip()]


def quotes(quotation: str, message: str) -> bool:
    """True if the parts of a quotation stand in `message` in their order."""
    position = 0
    for part in fragments(quotation):
        found = message.find(part.strip(), position)
        if found < 0:
            return False
        position = found + len(part.strip())
    return True


def quotations(page: Page) -> Iterator[tuple[str, int]]:
    for row in page.rows:
        if row.header[0] == HEADING:
            yield from ((span, row.line) for span in spans_of(row.cells[0]))


def _letters(text: str) -> int:
    return len(re.findall(r"[A-Za-z]", text))


def quoted(pages: dict[str, Page], sources: Sources) -> Iterator[Finding]:
    """Quotations that no program says."""
    texts = [text.text for text in sources.texts()]
    for name in SYMPTOMS:
        for quotation, line in quotations(pages[name]) if name in pages else ():
            if _letters(quotation) < _LEAST:
                yield Finding(name, line, f"`{quotation}` is too short to be found again: quote more of the message")
            elif not any(quotes(quotation, text) for text in texts):
                yield Finding(name, line, f"no program says `{quotation}`: quote the message as the sources have it, with "
                              "… where something is filled in, or remove it")


def _left_out(refusal: Refusal) -> bool:
    return any(fnmatch.fnmatch(refusal.file, pattern) for pattern in LEFT_OUT)


def shown(refusals: Iterable[Refusal]) -> list[Refusal]:
    """Those that somebody may look for, as far as the sources have their text."""
    return [refusal for refusal in refusals
            if refusal.code not in PASSING and _letters(refusal.text) >= _LEAST and not _left_out(refusal)]


def covered(pages: dict[str, Page], sources: Sources) -> Iterator[Finding]:
    """Refusals that no page has, and exceptions that except nothing."""
    refusals = sources.refusals()
    known = [quotation for name in SYMPTOMS if name in pages for quotation, _ in quotations(pages[name])]
    for refusal in shown(refusals):
        if not any(quotes(quotation, refusal.text) for quotation in known if _letters(quotation) >= _LEAST):
            yield Finding(refusal.file, refusal.line, f"`{refusal.text}` is on no page: quote a part of it in "
                          f"{TROUBLESHOOTING} (a table headed `{HEADING}`) and say what to do")
    for pattern in LEFT_OUT:
        if not any(fnmatch.fnmatch(refusal.file, pattern) for refusal in refusals):
            yield Finding("test/checks/docs_check/messages.py", 0, f"LEFT_OUT has {pattern}, which holds no error: remove it")
