"""A Kubernetes API server as far as events and node labels go, which holds each request against kube-apiserver's rules.

A real one is the better judge, and `make apiserver` asks it the same (harness.kube_cluster), but takes longer to build
than CI has. So the rules stand here: the schema (kubernetes_validate), which of core/v1's validation concerns events
(metadata's and the involved object's namespace agree), RFC 7386, the rights that deploy/components give, and the answers'
statuses and bodies. Stricter than the real one is what is held of events beyond that: the limits of events.k8s.io/v1
(reason 128 bytes, note 1024), and that what an event is about never changes. What a request does wrong is refused, not
always with the real one's words and status, and kept in `problems`.
"""

from __future__ import annotations

import copy
import http.server
import json
import re
import ssl
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, NamedTuple

import kubernetes_validate
import yaml

from harness.canary import canary
from harness.workspace import PROJECT

PREFIX = "model.csi.weighhouse.dev/"

_VERSION = kubernetes_validate.latest_version()
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_EVENTS = re.compile(r"/api/v1/namespaces/([^/]+)/events(?:/([^/]+))?")
_NODE = re.compile(r"/api/v1/nodes/([^/]+)")
_VERBS = {("POST", False): "create", ("GET", False): "list", ("GET", True): "get", ("PATCH", True): "patch",
          ("PUT", True): "update", ("DELETE", True): "delete"}
_NEVER_CHANGE = ("apiVersion", "kind", "involvedObject", "source", "firstTimestamp", "reportingComponent",
                 "reportingInstance")


class Told(NamedTuple):
    """One request, its answer's status, when it came (seconds), and by which token, in words of the server's."""

    method: str
    path: str
    body: Any
    status: int
    at: float
    who: str = ""


class Refusal(Exception):
    """An answer that isn't 2xx."""

    def __init__(self, status: int, reason: str, message: str = "", headers: dict[str, str] | None = None,
                 causes: tuple[str, ...] = ()) -> None:
        super().__init__(f"{status} {reason} {message}")
        self.status, self.headers = status, headers or {}
        self.body = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "code": status,
                     "message": message or reason, "details": {"causes": [{"reason": cause} for cause in causes]}}


def rights_of(*components: str) -> set[tuple[str, str]]:
    """(verb, resource) that the ClusterRoles of these components give, of the core API."""
    found = [item for name in components
             for item in yaml.safe_load_all((PROJECT / "deploy/components" / name / "rbac.yaml").read_text())]
    rules = [rule for role in found if role["kind"] == "ClusterRole" for rule in role["rules"]]
    return {(verb, resource) for rule in rules if "" in rule["apiGroups"] and "resourceNames" not in rule
            for verb in rule["verbs"] for resource in rule["resources"]}


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def event_faults(event: dict[str, Any], namespace: str) -> list[str]:
    """What kube-apiserver, or those who read events, would not take of one."""
    try:
        kubernetes_validate.validate(event, _VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [str(error).splitlines()[0]]
    faults = []
    metadata, involved = event["metadata"], event["involvedObject"]
    if metadata.get("namespace") != namespace:
        faults.append("metadata.namespace is not the path's")
    if involved.get("namespace") != namespace:
        faults.append("involvedObject.namespace does not match event.namespace")
    if len(metadata["name"]) > 253 or not _SUBDOMAIN.fullmatch(metadata["name"]):
        faults.append("metadata.name is no RFC 1123 subdomain")
    if not all(involved.get(field) for field in ("kind", "name", "uid", "apiVersion")):
        faults.append("involvedObject names nobody")
    if event.get("type") not in ("Normal", "Warning"):
        faults.append("type is neither Normal nor Warning")
    if not 0 < len(event.get("reason", "").encode()) <= 128:
        faults.append("reason can have at most 128 characters")
    if not 0 < len(event.get("message", "").encode()) <= 1024:
        faults.append("message can have at most 1024 characters")
    times = [event.get("firstTimestamp", ""), event.get("lastTimestamp", "")]
    if not all(_TIME.fullmatch(text) for text in times) or times != sorted(times):
        faults.append(f"{times} are no times in order")
    if "eventTime" in event or "series" in event:
        faults.append("a core event that changes has no eventTime and no series")
    if not isinstance(event.get("count"), int) or event["count"] < 1:
        faults.append("count is none")
    if len(event.get("reportingInstance", "").encode()) > 128:
        faults.append("reportingInstance can have at most 128 characters")
    return faults


def label_faults(labels: dict[str, str]) -> list[str]:
    faults = []
    for key, value in labels.items():
        prefix, _, name = key.rpartition("/")
        if len(name) > 63 or not _LABEL.fullmatch(name) or (prefix and not _SUBDOMAIN.fullmatch(prefix)):
            faults.append(f"{key} is no label's name")
        if len(value) > 63 or (value and not _LABEL.fullmatch(value)):
            faults.append(f"{value} is no label's value")
    return faults


class KubeApi:
    """Serves on a port of the loopback, by https with that certificate, within its `with` block."""

    def __init__(self, certificate: Path, key: Path, token: str) -> None:
        self.token, self.certificate = token, certificate
        self.rights = rights_of("agent")
        self.namespaces = {"default"}
        self.terminating: set[str] = set()
        self.events: dict[tuple[str, str], dict[str, Any]] = {}
        self.nodes: dict[str, dict[str, Any]] = {}
        self.told: list[Told] = []
        self.problems: list[str] = []
        self.refusals: list[Refusal] = []
        """What the next requests are answered instead, in their order."""
        self._version = 0
        self._renewals = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                outer._answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one

            def log_message(self, *unused: object) -> None:  # pylint: disable=arguments-differ
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *unused: None  # type: ignore[method-assign]  # who doesn't trust us
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> "KubeApi":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def all_events(self) -> list[dict[str, Any]]:
        with self._lock:
            return copy.deepcopy(list(self.events.values()))

    def event(self) -> dict[str, Any]:
        """The only one."""
        found = self.all_events()
        assert len(found) <= 1, found
        return found[0] if found else {}

    def forget_events(self) -> None:
        with self._lock:
            self.events.clear()

    def _answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        text = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers: dict[str, str] = {}
        with self._lock:
            try:
                status, answer = 200, self._let_in(handler.command, handler.path, handler.headers, text)
                if handler.command == "POST":
                    status = 201
            except Refusal as refusal:
                status, answer, headers = refusal.status, refusal.body, refusal.headers
            body = json.loads(text) if text and status != 400 else None
            who = handler.headers.get("Authorization", "")
            self.told.append(Told(handler.command, handler.path, body, status, time.monotonic(), who))
        content = json.dumps(answer).encode()
        handler.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(content))} | headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    def _let_in(self, method: str, path: str, headers: Any, text: bytes) -> dict[str, Any]:
        if headers.get("Authorization") != f"Bearer {self.token}":
            raise Refusal(401, "Unauthorized")
        if self.refusals:
            raise self.refusals.pop(0)
        resource, serve, names = self._target(method, path)
        verb = _VERBS.get((method, bool(names[-1])))
        if (verb, resource) not in self.rights:
            raise self._wrong(403, f"no right to {verb} {resource}: {method} {path}")
        wanted = {"POST": "application/json", "PATCH": "application/merge-patch+json"}.get(method)
        if wanted and headers.get("Content-Type") != wanted:
            raise self._wrong(415, f"{method} with {headers.get('Content-Type')}")
        if headers.get("Accept") != "application/json":
            raise self._wrong(406, f"{method} accepts {headers.get('Accept')}")
        return serve(method, json.loads(text) if text else None, *names)

    def _target(self, method: str, path: str) -> tuple[str, Callable[..., dict[str, Any]], tuple[str | None, ...]]:
        for pattern, resource, serve in ((_EVENTS, "events", self._serve_event), (_NODE, "nodes", self._serve_node)):
            match = pattern.fullmatch(path)
            if match:
                return resource, serve, match.groups()
        raise self._wrong(404, f"{method} {path}: no such resource")

    def _wrong(self, status: int, what: str) -> Refusal:
        self.problems.append(what)
        return Refusal(status, "Invalid", what)

    def _serve_event(self, method: str, body: Any, namespace: str, name: str | None) -> dict[str, Any]:
        if namespace not in self.namespaces:
            raise Refusal(404, "NotFound", f'namespaces "{namespace}" not found')
        if method == "POST" and name is None:
            return self._make(body, namespace)
        if method == "PATCH" and name is not None:
            return self._change(body, namespace, name)
        raise self._wrong(405, f"{method} of events")

    def _make(self, body: Any, namespace: str) -> dict[str, Any]:
        faults = event_faults(body, namespace)
        if "resourceVersion" in body.get("metadata", {}):
            faults.append("resourceVersion should not be set on objects to be created")
        if faults:
            raise self._wrong(422, f"event: {faults}")
        if namespace in self.terminating:
            raise Refusal(403, "Forbidden", "because it is being terminated", causes=("NamespaceTerminating",))
        key = (namespace, body["metadata"]["name"])
        if key in self.events:
            raise Refusal(409, "AlreadyExists", f'events "{key[1]}" already exists')
        return self._keep(self.events, key, body)

    def _change(self, body: Any, namespace: str, name: str) -> dict[str, Any]:
        old = self.events.get((namespace, name))
        if old is None:
            raise Refusal(404, "NotFound", f'events "{name}" not found')
        new = merged(old, body)
        faults = event_faults(new, namespace)
        faults += [f"{field} changed" for field in _NEVER_CHANGE if new.get(field) != old.get(field)]
        if "metadata" in body:
            faults.append("there is nothing to change in metadata")
        if new["count"] < old["count"] or new["lastTimestamp"] < old["lastTimestamp"]:
            faults.append("it goes backwards")
        if faults:
            raise self._wrong(422, f"event: {faults}")
        return self._keep(self.events, (namespace, name), new)

    def _serve_node(self, method: str, body: Any, name: str) -> dict[str, Any]:
        if name not in self.nodes:
            raise Refusal(404, "NotFound", f'nodes "{name}" not found')
        if method == "GET":
            return self.nodes[name]
        if method != "PATCH":
            raise self._wrong(405, f"{method} of nodes")
        labels = body.get("metadata", {}).get("labels", {})
        ours = all(key.startswith(PREFIX) for key in labels)
        if set(body) != {"metadata"} or set(body["metadata"]) != {"labels"} or not ours or not labels:
            raise self._wrong(422, f"a patch of a node touches {body}")
        new = merged(self.nodes[name], body)
        faults = label_faults(new["metadata"]["labels"])
        if faults:
            raise self._wrong(422, f"node: {faults}")
        return self._keep(self.nodes, name, new)

    def _keep(self, objects: dict[Any, dict[str, Any]], key: Any, value: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        kept = copy.deepcopy(value)
        kept["metadata"]["resourceVersion"] = str(self._version)
        objects[key] = kept
        return kept

    def _labels(self, node: str) -> dict[str, str]:
        with self._lock:
            return dict(self.nodes[node]["metadata"].get("labels", {}))

    def labels(self, node: str) -> dict[str, str]:
        """Those of ours, by model id."""
        return {key.removeprefix(PREFIX): value for key, value in self._labels(node).items() if key.startswith(PREFIX)}

    def other_labels(self, node: str) -> dict[str, str]:
        return {key: value for key, value in self._labels(node).items() if not key.startswith(PREFIX)}

    def add_node(self, name: str, labels: dict[str, str] | None = None) -> None:
        metadata = {"name": name} | ({"labels": dict(labels)} if labels else {})
        with self._lock:
            self.nodes[name] = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}

    def end_namespace(self, name: str) -> None:
        """It is being deleted from now on, which nobody finishes."""
        with self._lock:
            self.namespaces.add(name)
            self.terminating.add(name)

    def grant(self, *components: str) -> None:
        """The rights that these components of deploy/ give."""
        self.rights |= rights_of(*components)

    def renew(self) -> str:
        """Another token; the one before is good no longer."""
        self._renewals += 1
        self.token = canary(f"agent-renewed-{self._renewals}")
        return self.token

    def requests(self, choose: Callable[[Told], bool] = lambda each: True) -> list[Told]:
        with self._lock:
            return [each for each in self.told if choose(each)]
