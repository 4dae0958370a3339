"""Statistics of groups of cells over HTTP (``docs/reference/http-analysis.md``)."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from hashlib import sha256
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from coverslip.core.errors import BadRequest, CoverslipError, Forbidden, NotFound, TooLarge
from coverslip.domains.analyses import Analyses
from coverslip.domains.cells import Cells
from coverslip.domains.plan import CSV, JSON, KINDS, VALUES, Plan
from coverslip.engine.cache import ByteCache
from coverslip.engine.read import Reader
from coverslip.engine.rights import Right
from coverslip.engine.tasks import Task
from coverslip.fronts.cellucid.front import CellsFront, unstored
from coverslip.fronts.errors import CLIENT_GONE, answering, error_response
from coverslip.fronts.http import Body, reply, text_body, to_json
from coverslip.fronts.scopes import right_in
from coverslip.fronts.tokens import not_done, problem, raw_path_of

PATHS = re.compile(
    rf"(?P<set>(?:.+/)?)analysis/(?:(?P<kind>{'|'.join(KINDS)})"
    rf"|jobs/(?P<job>[0-9a-f]{{32}})(?:/(?P<file>{'|'.join(map(re.escape, (JSON, CSV, VALUES)))}))?)"
)
TYPES = {JSON: "application/json", CSV: "text/csv; charset=utf-8", VALUES: "application/octet-stream"}
MOST_BYTES = 64 << 20
"""Of a question: sets of ten million cells as bits."""
QUICK_S = 0.3
LOOK_S = 0.01
KEPT_BYTES = 64 << 20
MOST_ASKED = 4096


class Askers:
    """Who asked which question: nobody ends what another waits for, and who has a link sees his own questions only."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, set[str]] = OrderedDict()

    def note(self, job: str, right: Right) -> None:
        """Remember that somebody asked."""
        self._of.setdefault(job, set()).add(right.who)
        self._of.move_to_end(job)
        if len(self._of) > MOST_ASKED:
            self._of.popitem(last=False)

    def check(self, job: str, right: Right, ends: bool) -> None:
        """See that somebody may look at a question, or end it.

        Raises
        ------
        NotFound
            When it is not his, and he may not know of it.
        Forbidden
            When others asked it as well.
        """
        asked = self._of.get(job, set())
        if right.scope == "share" and right.who not in asked:
            raise NotFound("There is no such job", "Answers are kept for a while only: ask again.", "job_not_found")
        if ends and right.scope != "admin" and asked != {right.who}:
            raise Forbidden("Another wants this answer, too", "It goes on; leave it.", "not_yours")


class AnalysisFront:
    """Answers every path of ``docs/reference/http-analysis.md``.

    Parameters
    ----------
    cells
        The data sets.
    analyses
        Who works the answers out.
    reader
        Threads to read in.
    askers
        Who asked which question; give the same to every front with the same analyses.
    """

    def __init__(self, cells: CellsFront, analyses: Analyses, reader: Reader, askers: Askers | None = None) -> None:
        self._cells, self._analyses, self._reader = cells, analyses, reader
        self._askers = Askers() if askers is None else askers
        self._bodies: ByteCache[Body] = ByteCache(KEPT_BYTES)

    def has(self, path: str) -> bool:
        """Whether a path, relative to the root, is one of these."""
        return PATHS.fullmatch(path) is not None

    async def __call__(self, request: Request, path: str) -> Response:
        """Answer one request."""
        raw = raw_path_of(request.scope)
        found = PATHS.fullmatch(raw) or PATHS.fullmatch(path)
        assert found is not None
        job = found["job"] is not None and found["file"] is None
        allowed = ("POST",) if found["kind"] else ("GET", "HEAD", "DELETE") if job else ("GET", "HEAD")
        if request.method not in allowed:
            return not_done(", ".join(allowed))
        if not found["kind"]:
            return await answering(request, self._job(request, found["job"], found["file"]))
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            # A form of a foreign page can send text and forms without being asked first, JSON it cannot.
            return problem(415, "not_json", "A question here is JSON", "Send Content-Type: application/json.")
        try:
            body = await _body(request)
        except CoverslipError as error:
            return error_response(error)
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        return await answering(request, self._ask(request, found["kind"], found["set"], body))

    async def _ask(self, request: Request, kind: str, prefix: str, body: dict[str, Any]) -> Response:
        kept, cells, fresh = await self._cells.data_set(prefix)
        words = (str(kept.path), prefix, kept.part, kept.version, kind)
        asked = "\0".join(words).encode("utf-8", "surrogateescape") + msgspec.json.encode(body, order="sorted")
        id = sha256(asked).hexdigest()[:32]
        self._askers.note(id, right_in(request.scope))
        task = self._analyses.tasks.known(id)
        if task is None:
            plan = await self._reader.run(("plan", id), lambda stop: _planned(kind, body, cells))
            task = self._analyses.ask(id, kept, cells, plan, fresh)
        waited = 0.0
        while task.state == "running" and waited < QUICK_S:
            await asyncio.sleep(LOOK_S)
            waited += LOOK_S
        if task.state == "running":
            response = unstored(request, to_json(_told(task)))
            response.status_code = 202
            return response
        return await self._file(request, task, JSON)

    async def _job(self, request: Request, id: str, file: str | None) -> Response:
        tasks = self._analyses.tasks
        tasks.get(id)  # says first that there is none
        self._askers.check(id, right_in(request.scope), request.method == "DELETE")
        if file is not None:
            return await self._file(request, tasks.get(id), file)
        return unstored(request, to_json(_told(tasks.cancel(id) if request.method == "DELETE" else tasks.get(id))))

    async def _file(self, request: Request, task: Task, name: str) -> Response:
        """One file of an answer, or why there is none."""
        if task.error is not None:
            if request.method == "POST":
                raise task.error
            raise BadRequest(task.error.message, task.error.hint, "job_failed")
        if task.state != "done":
            words = "is not done yet" if task.state == "running" else "was cancelled"
            raise BadRequest(f"The job {words}", f"GET analysis/jobs/{task.id} tells its state.", f"job_{task.state}")
        if name not in task.files:
            raise BadRequest(f"A {task.kind} has no {name}", f"There is {', '.join(task.files)}.", "no_such_file")
        key = f"{task.id} {name}"
        body = self._bodies.get(key)
        if body is None:
            body = await self._reader.run(("answer", key), lambda stop: _body_of(task, name), lane="quick")
            self._bodies.put(key, body)
        further = {"Content-Disposition": f'attachment; filename="{task.kind}.csv"'} if name == CSV else None
        method = "HEAD" if request.method == "HEAD" else "GET"
        return reply(method, request.headers, body, further=further)


def _body_of(task: Task, name: str) -> Body:
    data = task.files[name]
    tag = sha256(data).hexdigest()[:32]
    return Body(data, TYPES[name], tag) if name == VALUES else text_body(data, TYPES[name], tag)


def _told(task: Task) -> dict[str, Any]:
    return {
        "job": task.id, "kind": task.kind, "state": task.state, "progress": round(task.progress, 4),
        "message": task.message, "result": f"analysis/jobs/{task.id}/{JSON}",
    }  # fmt: skip


def _planned(kind: str, body: dict[str, Any], cells: Cells) -> Plan:
    from coverslip.fronts.analysis.questions import plan_of  # who never asks need not wait for it

    return plan_of(kind, body, cells)


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a question.

    Raises
    ------
    BadRequest, TooLarge
        When there is none.
    """
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MOST_BYTES:
            raise TooLarge(f"The question is over {MOST_BYTES:,} bytes", "Write sets of cells as bits.")
    try:
        content = msgspec.json.decode(bytes(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise BadRequest("The question is no JSON object", 'Write {"groups": {"field": 3}, …}.')
    return content
