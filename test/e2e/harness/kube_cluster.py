"""Kubernetes' own API server with its etcd, and nothing else of a cluster: no controller, no scheduler, no kubelet.

It has what deploy/ gives a cluster, sent by kubectl as README says. For the tests it is what KubeApi (harness.kube_api) is;
what it was told it says itself, in its audit log.
"""

from __future__ import annotations

import datetime
import http.client
import itertools
import json
import os
import ssl
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Callable

import yaml

from harness.canary import MOUNTED, canary, watch
from harness.kube_api import PREFIX, Told
from harness.process import Process, start_on_free_port
from harness.registry import make_certificate
from harness.workspace import PROJECT

NAMESPACE, ACCOUNT = "weighhouse-system", "weighhouse-node"
_USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
_METHODS = {"create": "POST", "patch": "PATCH", "update": "PUT", "delete": "DELETE", "get": "GET", "list": "GET"}
_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
# What the account asks, with what it sends, and who is refused at the door; nothing of the administrator or the server.
_AUDIT = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [
    {"level": "Request", "users": [_USER]},
    {"level": "None", "userGroups": ["system:masters"]},
    {"level": "Metadata", "resources": [{"group": "", "resources": ["events", "nodes"]}]},
    {"level": "None"}]}
_pods = itertools.count(1)


class Answer(dict[str, Any]):
    """What the server said, with the status."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(body)
        self.status = status


def bindings_of(*components: str) -> list[dict[str, Any]]:
    """The ClusterRoleBindings of these components of deploy/."""
    return [item for name in components
            for item in yaml.safe_load_all((PROJECT / "deploy/components" / name / "rbac.yaml").read_text())
            if item["kind"] == "ClusterRoleBinding"]


class KubeCluster:
    """Up within its `with` block; `fresh()` begins a test."""

    def __init__(self, directory: Path, program: Path) -> None:
        self._directory, self._program = directory, program
        directory.mkdir()
        self.certificate, self._secrets = directory / "api.crt", directory / MOUNTED
        self._secrets.mkdir(mode=0o700)
        make_certificate(self._secrets / "api.key", self.certificate, "-addext", "subjectAltName=IP:127.0.0.1")
        make_certificate(self._secrets / "accounts.key", directory / "accounts.crt")
        self._administrator = canary("administrator")
        (self._secrets / "tokens.csv").write_text(f"{self._administrator},administrator,1,system:masters\n")
        (directory / "audit.yaml").write_text(yaml.safe_dump(_AUDIT))
        self._audit = directory / "audit.log"
        self._port = 0
        self._names: list[str] = []
        self._begun = 0.0
        self.token = ""

    def __enter__(self) -> "KubeCluster":
        self._etcd, etcd = start_on_free_port("etcd", self._directory / "etcd.log", self._etcd_command, _etcd_answers)
        self._etcd_url = f"http://127.0.0.1:{etcd}"
        self._server, self._port = start_on_free_port("kube-apiserver", self._directory / "kube-apiserver.log",
                                                      self._server_command, _listens)
        self._wait_ready()
        self._apply()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for process in (self._server, self._etcd):
            if process.running():
                process.kill()

    def _etcd_command(self, port: int) -> list[str]:
        own = f"http://127.0.0.1:{port}"
        peers = "http://127.0.0.1:0"  # there are none
        return ["etcd", f"--data-dir={tempfile.mkdtemp(prefix='etcd.', dir=self._directory)}", f"--listen-client-urls={own}",
                f"--advertise-client-urls={own}", f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}",
                f"--initial-cluster=default={peers}"]

    def _server_command(self, port: int) -> list[str]:
        return [str(self._program), f"--etcd-servers={self._etcd_url}", "--bind-address=127.0.0.1", f"--secure-port={port}",
                "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",  # a loopback is no Endpoint
                f"--cert-dir={self._directory}", f"--tls-cert-file={self.certificate}",
                f"--tls-private-key-file={self._secrets}/api.key", f"--token-auth-file={self._secrets}/tokens.csv",
                f"--service-account-key-file={self._secrets}/accounts.key",
                f"--service-account-signing-key-file={self._secrets}/accounts.key",
                "--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.0.0.0/24",
                "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
                f"--audit-policy-file={self._directory}/audit.yaml", f"--audit-log-path={self._audit}"]

    def _wait_ready(self) -> None:
        self._server.wait_ready(lambda: self._is_up("/readyz"), 120)

    def _is_up(self, path: str) -> bool:
        try:
            return self.ask("GET", path).status == 200
        except OSError:
            return False

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What it prints, as the administrator."""
        command = [str(PROJECT / "build/venv/bin/kubectl"), f"--server={self.url}", f"--certificate-authority={self.certificate}",
                   f"--token={self._administrator}", *arguments]
        ran = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60,
                             env=os.environ | {"HOME": str(self._directory), "KUBECONFIG": "/dev/null"})
        assert ran.returncode == 0, f"kubectl {' '.join(arguments)}: {ran.stdout}{ran.stderr}"
        assert "Warning" not in ran.stderr, ran.stderr
        return ran.stdout

    def _apply(self) -> None:
        """deploy/daemonset with node labels; no controller makes pods of it, nor what each namespace has."""
        self.must("POST", "/api/v1/namespaces/default/serviceaccounts", {
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})
        overlay = self._directory / "overlay"
        overlay.mkdir()
        deploy = os.path.relpath(PROJECT.resolve() / "deploy", overlay.resolve())
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump({
            "resources": [f"{deploy}/daemonset"], "components": [f"{deploy}/components/node-labels"]}))
        self.kubectl("apply", "--server-side", "--validate=strict", "--kustomize", str(overlay))

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> Answer:
        """As the administrator, or whose token it is. OSError: nobody answers."""
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=30,
                                                 context=ssl.create_default_context(cafile=str(self.certificate)))
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {
                "Authorization": f"Bearer {token or self._administrator}", "Content-Type": kind, "Accept": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            return Answer(answer.status, json.loads(text) if text.startswith(b"{") else {"text": text.decode()})
        except http.client.HTTPException as error:
            raise OSError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()

    def must(self, method: str, path: str, body: Any = None, also: tuple[int, ...] = ()) -> Answer:
        """`ask`, of the administrator, which succeeds, or is answered with one of `also`."""
        answer = self.ask(method, path, body)
        assert answer.status < 300 or answer.status in also, f"{method} {path}: {answer.status} {answer}"
        return answer

    # Life

    def restart(self, between: Callable[[], None] = lambda: None) -> None:
        """Ends the API server; starts it again, at the same address, when `between` returns."""
        self._server.stop(60)
        between()
        self._server = Process("kube-apiserver", self._server_command(self._port), self._server.log)
        self._wait_ready()

    def fresh(self) -> "KubeCluster":
        """No event, a bare node-1, an account with the rights of components/agent alone, and a token of it."""
        self.forget_events()
        self.add_node("node-1")
        self.revoke()
        self.grant("agent")
        self._names = []
        self._begun = datetime.datetime.now(datetime.timezone.utc).timestamp()
        self.token = self._new_token()
        return self

    def revoke(self) -> None:
        """Takes all rights from the account, the provisioner's too."""
        for binding in self.must("GET", _BINDINGS)["items"]:
            if any(who["name"] == ACCOUNT for who in binding.get("subjects", [])):
                self.must("DELETE", f"{_BINDINGS}/{binding['metadata']['name']}")
        self._wait_right("patch", "events", False)
        self._wait_right("patch", "nodes", False)

    def grant(self, *components: str) -> None:
        """The rights that these components of deploy/ give."""
        for binding in bindings_of(*components):
            self.must("POST", _BINDINGS, binding, also=(409,))
        if "agent" in components:
            self._wait_right("patch", "events", True)
        if "node-labels" in components:
            self._wait_right("patch", "nodes", True)

    def _wait_right(self, verb: str, resource: str, wanted: bool) -> None:
        """The authorizer learns of what was written a moment later."""
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
            "user": _USER, "resourceAttributes": {"verb": verb, "resource": resource, "namespace": "default"}}}
        if resource == "nodes":
            del review["spec"]["resourceAttributes"]["namespace"]  # type: ignore[index]
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        self._server.wait_ready(lambda: self.must("POST", path, review)["status"]["allowed"] == wanted, 30)

    # What there is

    def add_node(self, name: str, labels: dict[str, str] | None = None) -> None:
        """In the place of the one that there was."""
        self.must("DELETE", f"/api/v1/nodes/{name}", also=(404,))
        self.must("POST", "/api/v1/nodes", {
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels or {}}})

    def add_pod(self, name: str, namespace: str = "default", **spec: Any) -> str:
        """A pod that runs on node-1, as far as the API server knows; its uid."""
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
               "spec": {"nodeName": "node-1", "automountServiceAccountToken": False,
                        "containers": [{"name": "server", "image": "server:1"}]} | spec}
        return str(self.must("POST", f"/api/v1/namespaces/{namespace}/pods", pod)["metadata"]["uid"])

    def delete_pod(self, name: str, namespace: str = "default") -> None:
        """Gone when it returns, with the tokens that were its own."""
        self.must("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}", {
            "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0})

    def _new_token(self) -> str:
        """Of a new pod of the account on node-1, as kubelet asks for one."""
        name = f"agent-{next(_pods)}"
        uid = self.add_pod(name, NAMESPACE, serviceAccountName=ACCOUNT)
        self._names.append(name)
        path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}/token"
        answer = self.must("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {
            "expirationSeconds": 3600, "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}}})
        return watch(str(answer["status"]["token"]))

    def renew(self) -> str:
        """Another token; the one before is good no longer."""
        before, self.token = self._names[-1], self._new_token()
        self.delete_pod(before, NAMESPACE)
        return self.token

    def end_namespace(self, name: str) -> None:
        """It is being deleted from now on, which nobody finishes."""
        self.must("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self.must("DELETE", f"/api/v1/namespaces/{name}")

    def all_events(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.must("GET", "/api/v1/events")["items"]
        return items

    def event(self) -> dict[str, Any]:
        """The only one."""
        found = self.all_events()
        assert len(found) <= 1, found
        return found[0] if found else {}

    def forget_events(self) -> None:
        self.must("DELETE", "/api/v1/namespaces/default/events")

    def _labels(self, node: str) -> dict[str, str]:
        labels: dict[str, str] = self.must("GET", f"/api/v1/nodes/{node}")["metadata"].get("labels", {})
        return labels

    def labels(self, node: str) -> dict[str, str]:
        """Those of ours, by model id."""
        return {key.removeprefix(PREFIX): value for key, value in self._labels(node).items() if key.startswith(PREFIX)}

    def other_labels(self, node: str) -> dict[str, str]:
        return {key: value for key, value in self._labels(node).items() if not key.startswith(PREFIX)}

    # What it was told

    def requests(self, choose: Callable[[Told], bool] = lambda each: True) -> list[Told]:
        """The account's since `fresh()`, and those of whom the server doesn't know. A moment late: they are logged as their
        answers end."""
        if not self._audit.exists():
            return []
        lines = self._audit.read_text().splitlines(keepends=True)
        told = [self._told(json.loads(line)) for line in lines if line.endswith("\n")]
        return [each for each in told if each is not None and choose(each)]

    def _told(self, entry: dict[str, Any]) -> Told | None:
        extra = entry["user"].get("extra", {})
        who = extra.get("authentication.kubernetes.io/pod-name", [""])[0]
        at = datetime.datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp()
        if at < self._begun or (who and who not in self._names):
            return None
        return Told(_METHODS.get(entry["verb"], entry["verb"]), entry["requestURI"], entry.get("requestObject"), entry["responseStatus"]["code"], at,
                    who)

    @property
    def problems(self) -> list[str]:
        """The requests that a program which knows the API doesn't send, and what strict validation says of all that wrote."""
        wrong = [f"{each.method} {each.path}: {each.status}" for each in self.requests()
                 if each.status in (400, 405, 406, 415, 422)]
        for each in self.requests(lambda told: told.method in ("POST", "PATCH") and told.status < 300):
            path, body = each.path, each.body
            if each.method == "POST":
                body = body | {"metadata": body["metadata"] | {"name": "again"}}
            answer = self.ask(each.method, path + "?dryRun=All&fieldValidation=Strict", body)
            if answer.status not in (200, 201, 404):
                wrong.append(f"{each.method} {path}: {answer.get('message')}")
        return wrong


def _etcd_answers(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/health")
        return connection.getresponse().read().startswith(b'{"health":"true"')
    except (OSError, http.client.HTTPException):
        return False


def _listens(port: int) -> bool:
    try:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=5, context=ssl._create_unverified_context())  # pylint: disable=protected-access
        connection.request("GET", "/livez")
        return connection.getresponse().status > 0
    except (OSError, http.client.HTTPException):
        return False
