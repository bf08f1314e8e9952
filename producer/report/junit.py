"""A document's checks as JUnit's XML, which continuous integration shows as tests.

A suite has a test for each check of the document: for a comparison that each side was trained, and that the
sides agree; for a bundle each claim; for a port each rung. A document that checks nothing has an empty suite.
"""

from __future__ import annotations

import re
from typing import TextIO
from xml.etree.ElementTree import Comment, Element, ElementTree, SubElement, indent

from likewise.producer.display import printable
from likewise.producer.report import MARK
from likewise.producer.report.document import Document

_NOT_XML = re.compile("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not have."""


def write_junit(document: Document, stream: TextIO) -> None:
    """Write the document's checks as one test suite."""
    checks = list(document.checks())
    failed = sum(check.state == "failed" for check in checks)
    broken = sum(check.state == "error" for check in checks)
    skipped = sum(check.state == "skipped" for check in checks)
    suites = Element("testsuites")
    suites.append(Comment(f" {MARK} "))
    suite = SubElement(
        suites,
        "testsuite",
        name=_text(document.title),
        tests=str(len(checks)),
        failures=str(failed),
        errors=str(broken),
        skipped=str(skipped),
    )
    for check in checks:
        case = SubElement(suite, "testcase", classname="likewise", name=_text(check.name))
        if check.state in ("failed", "error"):
            kind = "failure" if check.state == "failed" else "error"
            first = check.text.splitlines()[0] if check.text else check.name
            SubElement(case, kind, message=_text(first)).text = _text(check.text)
        elif check.state == "skipped":
            SubElement(case, "skipped", message=_text(check.text))
        elif check.text:
            SubElement(case, "system-out").text = _text(check.text)
    indent(suites)
    stream.write('<?xml version="1.0" encoding="utf-8"?>\n')
    ElementTree(suites).write(stream, encoding="unicode")
    stream.write("\n")


def _text(text: str) -> str:
    return _NOT_XML.sub("?", "\n".join(printable(line) for line in text.split("\n")))
