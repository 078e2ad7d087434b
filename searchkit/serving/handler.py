"""Answers requests: pages and their states to browsers of this machine, and nothing else to anybody."""

from __future__ import annotations

import json
import logging
import traceback
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from searchkit.errors import UnknownNameError
from searchkit.serving import pages

if TYPE_CHECKING:
    from searchkit.serving.studies import Studies

SOON, LATER = 2.0, 4.0  # seconds after which a page asks again, where a search runs, and where none does
LIGHT = 5.0  # times as long as a report takes to make, at least

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

log = logging.getLogger("searchkit")


@dataclass(frozen=True)
class Answer:
    """What is sent: HTML, JSON or a sentence."""

    status: HTTPStatus
    body: bytes
    kind: str = "text/plain"
    policy: str = "default-src 'none'"

    @classmethod
    def page(cls, html: str, status: HTTPStatus = HTTPStatus.OK, *, charts: bool = False) -> Answer:
        """A page; its policy allows its own script and no other."""
        policy = pages.policies()[0 if charts else 1] + "; frame-ancestors 'none'"
        return cls(status, html.encode("utf-8", "backslashreplace"), "text/html", policy)

    @classmethod
    def json(cls, value: object) -> Answer:
        return cls(HTTPStatus.OK, json.dumps(value).encode(), "application/json")


def answer(studies: Studies, target: str) -> Answer:
    """The answer to a GET of a path with its query."""
    parts = urlsplit(target)
    name = parse_qs(parts.query, keep_blank_values=True).get("name", [""])[0]
    try:
        if parts.path == "/":
            return Answer.page(pages.list_page(studies.listing(), studies.where))
        if parts.path == "/status":
            listing = studies.listing()
            return _status(listing.version, "running" in listing.words.values())
        if parts.path == "/study":
            shown = studies.shown(name)
            status = HTTPStatus.GONE if shown.word == "gone" else HTTPStatus.OK
            return Answer.page(pages.study_page(shown), status, charts=shown.report is not None)
        if parts.path == "/study/status":
            seen = studies.seen(name)
            return _status(seen.version, seen.word == "running", studies.took(name), pages.bar(seen))
    except UnknownNameError as error:
        return _not_found(str(error))
    return _not_found(f"there is no page {parts.path!r:.200} here")


def _status(version: str, running: bool, took: float = 0.0, told: str = "") -> Answer:
    """The state of a page: its version, seconds until it is asked for again, of a report the least between two, what
    making that took, and what the bar says meanwhile."""
    again = SOON if running else LATER
    return Answer.json({"version": version, "again": again, "rest": LIGHT * took, "took": took, "told": told})


def _not_found(said: str) -> Answer:
    return Answer.page(pages.message_page("Not found", f"{said[0].upper()}{said[1:]}"), HTTPStatus.NOT_FOUND)


class Handler(BaseHTTPRequestHandler):
    """Requests of one connection.

    Attributes:
        studies: which are shown.
        hosts: what a request may call this server; another name is that of a page which tries to read it by pointing
            its own name to this machine.
    """

    studies: Studies
    hosts: frozenset[str]
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds without a request after which a connection ends

    def do_GET(self) -> None:
        self._respond()

    def do_HEAD(self) -> None:
        self._respond()

    def _respond(self) -> None:
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # a GET has no body; whatever follows is no request
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0].strip().lower() not in self.hosts or not self.path.startswith("/"):
            self._send(_misdirected(sorted(self.hosts)))
            return
        try:
            found = answer(self.studies, self.path)
        except Exception as error:
            log.error("the page %.300r failed: %s", self.path, "".join(traceback.format_exception_only(error)).strip())
            log.debug("", exc_info=True)
            said = f"This page could not be made: {type(error).__name__}. The server's terminal says more."
            found = Answer.page(pages.message_page("Not now", said), HTTPStatus.INTERNAL_SERVER_ERROR)
        self._send(found)

    def _send(self, given: Answer, extra: tuple[str, str] | None = None) -> None:
        self.send_response(given.status)
        lines = {"Content-Type": f"{given.kind}; charset=utf-8", "Content-Length": str(len(given.body))}
        for name, value in (lines | HEADERS | {"Content-Security-Policy": given.policy}).items():
            self.send_header(name, value)
        if extra is not None:
            self.send_header(*extra)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(given.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server refuses by itself: a malformed request, or a method other than GET and HEAD."""
        self.close_connection = True
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            said = "these pages are only read: GET or HEAD\n"
            self._send(Answer(HTTPStatus.METHOD_NOT_ALLOWED, said.encode()), ("Allow", "GET, HEAD"))
        else:
            self._send(Answer(status, f"{status.phrase}\n".encode()))

    def version_string(self) -> str:
        """The name of the server, without versions."""
        return "searchkit"

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not told."""


def _misdirected(hosts: list[str]) -> Answer:
    said = f"this server answers to {', '.join(hosts)} only; from another machine, forward the same port by ssh\n"
    return Answer(HTTPStatus.MISDIRECTED_REQUEST, said.encode())
