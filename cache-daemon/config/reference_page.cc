#include "cache-daemon/config/reference_page.h"

#include <fmt/format.h>

#include "cache-daemon/config/config.h"

namespace weighhouse::config {
namespace {

constexpr std::string_view kBefore = R"(# Configuration

<!-- `weighhouse config keys` prints this page: a test holds them to be the same. -->

The cache daemon reads one YAML document: `--config FILE`, else `/etc/weighhouse/config.yaml` if it is there. In the
manifests that is the ConfigMap `weighhouse-config` (`deploy/daemonset/configmap.yaml`). A key that is not given has its
default; an unknown key, a key twice or a value that is not allowed is an error that names line, key, value and what is
allowed. `weighhouse config check FILE` finds it before the daemon does: it exits with 0 or 2 and needs no daemon.

## Changing it while the daemon runs

The daemon sees within two seconds that the file was replaced or written, and takes over what takes effect at once.
What takes effect at a restart is named in its log and in `weighhouse status` until then. A file that is not valid
changes nothing: the last good configuration stays in effect, log and `status` say what is wrong until it is mended, and
the metric `weighhouse_configuration_valid` is 0.
A file that went away counts as one that is not valid.

- kubelet brings a changed ConfigMap to the node after up to about a minute and a half; the two seconds begin then.
- It does so by renaming the link `..data` beside the file, so mount the whole ConfigMap as a directory: a `subPath`
  mount never changes while the pod lives.
- Where the file's directory can't be watched (inotify), the file is read every second instead. Behind a link to another
  directory that is not a ConfigMap's, a change is seen after ten seconds.
- A smaller `cache.limit`, or a larger `cache.minFree`, evicts at once: what is left of interrupted fills first, then
  models that nobody uses, least recently used first. What pods use stays, and goes once they have ended, as long as the
  cache is over its limit. A fill under way keeps the space that it was promised; new ones are refused until there is
  room.
- Fills under way go on with what they began with where their source is no longer allowed.

## Keys

| key | value | default | takes effect | what it does |
|---|---|---|---|---|
)";

constexpr std::string_view kAfter = R"(
Bytes are numbers with `Ki`, `Mi`, `Gi`, `Ti` (binary), `k`, `M`, `G`, `T` (decimal) or nothing behind them.

`cache.minFree` depends on where the cache lies, because a full cache on kubelet's or the container runtime's filesystem
makes kubelet remove images and then evict pods. The daemon takes its root's filesystem for a shared one if one of these
lies on it: the directory of the configuration file (kubelet keeps ConfigMap volumes on its filesystem), `/etc/hosts`
(which kubelet mounts), or `/` (in a container the runtime's filesystem, told by its sizes). `weighhouse --root DIR`
without a daemon keeps 5% free wherever it is.

## Which models

```yaml
sources:
  allow: ["hf://*", "https://models.example/*"]
  deny: ["hf://suspicious-org/*"]
  allowByNamespace: ["research-*=hf://*", "team-a=hf://team-a/*", "team-a=https://models.example/team-a/*"]
  denyByNamespace: ["kube-*=*"]
  pickle: besideSafetensors
```

These are asked at each publish, at CreateVolume, for `keep`, for the command line and for interrupted fills; what is cached is
no exception, and what pods have mounted stays. Rules by namespace concern pods and claims; where there are any, nobody
whose namespace isn't known gets a model. GetCapacity knows no namespace and doesn't ask them. Allowing is literal; denying counts
whatever the case and however a URL is escaped. A list of what is allowed is the stronger one: under which other names a
source serves the same model, such as the old one of a renamed repository, no list knows. Where a secret's `AWS_ENDPOINT_URL` names
another service than the configured one, its buckets must pass the lists under that name, too: `s3+https://minio.example/bucket/*`.

`pickle: refuse` refuses, and leaves nothing out by itself, because a pod would get a model without its weights; the error
names the files, and `ignorePatterns` leaves them out. Pickles are told by their names.

## Where sources may be

Every connection of every source goes by one rule, whoever named its URL: a pod, a listing or a redirect. It is judged
by the address that it really goes to, when it goes there, so a name that means another address a moment later gains
nothing.

| address | |
|---|---|
| public | allowed |
| private: 10/8, 172.16/12, 192.168/16, 100.64/10, 198.18/15, fc00::/7 | allowed over https; over plain http if `sources.allowAddresses` has it |
| loopback, link-local (169.254/16, fe80::/10), clouds' metadata services (fd00:ec2::/32, fd20:ce::254, 168.63.129.16, 100.100.100.200, 192.0.0.192), unspecified, multicast, reserved | if `sources.allowAddresses` has it |

Registries and object stores of a cluster or a company have private addresses, and so have those of a cloud behind its
private endpoints: over https only a server that proves to have the URL's name gets a request, so a stranger's name that
leads to somebody else's service ends at its certificate. Plain http proves nothing: there an admin says where.
What this configuration names itself (endpoints and mirrors, and the hosts of buckets below an S3 endpoint whose addressing is
`virtual`) may be anywhere, and be plain http; where it redirects to, may not.

```yaml
sources:
  allowAddresses: [10.96.0.0/12]   # the cluster's services
  http: {allowPlain: true}         # some of which have no https
```

Through a proxy it is the proxy that resolves names and connects: here only addresses that stand in URLs are judged, and the
proxy must refuse the rest. Its own address is the admin's word. User and password in its URL are in no log and no message,
but whoever reads the ConfigMap reads them: the environment can take them from a secret.

## Models that stay

```yaml
keep:
- hf://org/name@main
- https://host/path/model.gguf#sha256=<hex>
```

Each is fetched at the daemon's start, and when it comes onto the list, after what pods wait for. From then on neither a
fill that needs space nor a smaller limit nor `weighhouse evict` removes it (`weighhouse --root`, without a daemon,
knows no list); a fill that would need its space is refused as one that needs that of running pods. A branch is looked
up at a start and when it comes onto the list; the old revision stays until the new one is complete, so there must be
room for both. What a pod's publish of the same reference has brought since is taken over when the configuration is read
again. Taken off the list, a model is evicted when its space is needed, as any other; if it is being fetched, it is
fetched to its end.

What can't be had (its source is away, there is no room, it needs credentials) is tried again, every five minutes at
last; `weighhouse status` and the log say which and why, and the metric `weighhouse_keep_problems` is their number. No
kept model that is complete goes for another: where the list doesn't fit the limit, some stay unfetched, and what has
come of them may be evicted.

The list has no credentials. A private model is not fetched for it, but it is kept once a pod that may have it has
published it under the same reference; every later pod is still asked for its own credentials.

## Values for some nodes only

`overrides` is a list; each entry has a `match` and the same keys as the document. An entry counts on the nodes that fit
all that its `match` says; where several give a key, the last one wins, and a list replaces the whole list.

```yaml
cache:
  limit: 80%
overrides:
  - match: {nodeName: "gpu-*"}        # a pattern or a list of them: * ? [a-z]
    cache: {limit: 2Ti}
  - match: {nodeLabels: {pool: edge}} # all of these labels, with these values
    fill: {bandwidthLimit: 50Mi}
```

The node's name comes by `--node-name`, which the manifests give. Its labels come by `--node-labels pool=edge,zone=a`,
and only if an admin gives that flag: Kubernetes does not tell a pod its node's labels (newer versions copy the topology
labels, region and zone, to pods, from where the downward API has them). For labels of your own use a DaemonSet for each
pool, each with its flag, or name patterns. An override that asks for labels never counts where the flag is missing, and
the log says so.
)";

}  // namespace

std::string ReferencePage() {
  std::string page(kBefore);
  for (const ConfigKey& key : ConfigKeys()) {
    bool at_once = key.takes_effect == TakesEffect::kAtOnce;
    page += fmt::format("| `{}` | {} | {} | {} | {} |\n", key.name, key.allowed, key.default_value,
                        at_once ? "at once" : "at restart", key.meaning);
  }
  return page + std::string(kAfter);
}

}  // namespace weighhouse::config
