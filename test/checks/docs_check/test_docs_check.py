"""Proves that docs-check finds what it is there for: a small project whose pages and sources agree, and one fault at a time
planted in it, in either direction."""

from __future__ import annotations

import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import messages  # noqa: E402
import pages  # noqa: E402
import programs  # noqa: E402
import project  # noqa: E402
import shell  # noqa: E402
import sources  # noqa: E402

HELP = """A program.
Usage: x [OPTIONS] [SUBCOMMAND]

Options:
  -h,--help                   Print this help message and exit
  --root DIR                  Where
  --quiet                     No progress
{sub}
"""
PROGRAM = """#!/bin/sh
case "$1 $2" in
  "config check") if grep -q limitt; then echo "stdin:2: limitt is no key" >&2; exit 2; fi; exit 0 ;;
esac
case "$*" in
  "pull --help") printf 'Usage: x pull\\n\\nPositionals:\\n  MODEL TEXT REQUIRED  Which\\n\\nOptions:\\n  --allow GLOB ...   Only\\n' ;;
  *) cat <<'END'
%s
END
esac
"""
CLEAN = {
    "cache-daemon/config/config_keys.cc": 'ConfigKey{"cache.limit", kAtOnce, "x"},\nConfigKey{"cache.root", kAtOnce, "x"},\n',
    "cache-daemon/metrics/cache_metrics.cc": 'registry.Gauge("weighhouse_blobs", "help");\n',
    "csi/volume_context.cc":
        'std::array kParameters = {"model", "layout"};\nstd::array kClassParameters = {"cachedOnly"};\n'
        'std::array kCredentialKeys = {"HF_TOKEN"};\n'
        'Result<> F() {\n  // Fail(Code::kInternal, "a comment")\n'
        '  return Fail(Code::kInvalidArgument, fmt::format("layout {} is "\n                     "unknown", text));\n}\n'
        'Result<> G() { return Fail(Code::kAborted, "somebody is at work"); }\n',
    "deploy/daemonset/daemonset.yaml": "containers:\n  - name: cache\n    image: weighhouse\n",
    "deploy/helm/weighhouse/values.yaml": "image: {tag: x}\n",
    "Makefile": "build: setup\n\ttrue\n",
    "docs/README.md": "# Index\n\n[a](page.md#two-words) [c](configuration.md) [p](parameters.md) [s](sources.md)\n"
                      "[t](troubleshooting.md) [l](command-line.md)\n",
    "docs/page.md": "# Page\n\n## Two `words`\n\n`cache.limit: 80%`, `weighhouse_blobs`, `csi/volume_context.cc`, `make build`\n\n"
                    "```yaml\ncache:\n  limit: 1\n```\n\n```json\n{\"a\": 1}\n```\n\n"
                    "```yaml\napiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: x}\n"
                    "provisioner: csi.weighhouse.dev\nparameters: {model: hf://a/b, cachedOnly: \"true\"}\n```\n\n"
                    "```sh\nweighhouse --root x pull hf://a/b --allow '*' | cat # fetches\nkubectl get pods -A\n"
                    "kubectl weighhouse --node n pull hf://a/b --allow 'x*'\n"
                    "kubectl logs ds/weighhouse -c cache\nkubectl create secret generic s --from-literal=HF_TOKEN=x\n"
                    "helm install w . --set image.tag=1\n```\n\n"
                    "```yaml\ncomponents:\n  - ../../components/monitoring\n```\n\n"
                    "```yaml\npatches:\n  - target: {kind: DaemonSet}\n    patch: |-\n      - {op: add, path: /spec/minReadySeconds, "
                    "value: 1}\n```\n",
    "docs/configuration.md": "| key | value |\n|---|---|\n| `cache.limit` | x |\n| `cache.root` | x |\n",
    "docs/parameters.md": "| parameter | x |\n|---|---|\n| `model` | x |\n| `layout` | x |\n| `cachedOnly` | x |\n",
    "docs/sources.md": "| key | x |\n|---|---|\n| `HF_TOKEN` | x |\n",
    "docs/troubleshooting.md": "| it says | do |\n|---|---|\n| `layout … is unknown` | mend it |\n\n"
                               "| alert | do |\n|---|---|\n| `WeighhouseFull` | mend it |\n",
    "deploy/components/monitoring/weighhouse.rules.yaml": "groups: [{rules: [\n  - alert: WeighhouseFull\n",
    "docs/command-line.md": "| weighhouse | x |\n|---|---|\n| `--root DIR`, `--quiet` | x |\n| `pull` | x |\n"
                            "| `pull --allow GLOB` | x |\n\n"
                            "| weighhouse-cached | x |\n|---|---|\n| `--root DIR`, `--quiet` | x |\n\n"
                            "| weighhouse-csi | x |\n|---|---|\n| `--root DIR`, `--quiet` | x |\n",
    "cache-daemon/metrics/README.md": "| name | x |\n|---|---|\n| `weighhouse_blobs` | x |\n",
}
PAGE, LISTED = "docs/page.md", "docs/configuration.md"

# What it is · the file · what is replaced in it · by what · the finding's beginning · a word of it
PLANTED = [
    ("a key that isn't there", PAGE, "`cache.limit: 80%`", "`cache.limits`", "docs/page.md:5", "did you mean `cache.limit`"),
    ("a key that is documented and gone", LISTED, "`cache.root`", "`cache.rood`", "docs/configuration.md:4", "cache.rood"),
    ("a key without documentation", LISTED, "| `cache.root` | x |\n", "", "docs/configuration.md:0", "`cache.root`"),
    ("a parameter without documentation", "docs/parameters.md", "| `layout` | x |\n", "", "docs/parameters.md:0", "`layout`"),
    ("a parameter that isn't there", "docs/parameters.md", "`layout`", "`layoud`", "docs/parameters.md:4", "layoud"),
    ("a parameter in an example", PAGE, "cachedOnly:", "cachedOnli:", "docs/page.md:17", "cachedOnli"),
    ("a credential without documentation", "docs/sources.md", "| `HF_TOKEN` | x |\n", "", "docs/sources.md:0", "HF_TOKEN"),
    ("a metric that isn't there", PAGE, "`weighhouse_blobs`", "`weighhouse_blops`", "docs/page.md:5", "weighhouse_blobs"),
    ("a metric without documentation", "cache-daemon/metrics/README.md", "| `weighhouse_blobs` | x |\n", "",
     "cache-daemon/metrics/README.md:0", "weighhouse_blobs"),
    ("an alert without documentation", "docs/troubleshooting.md", "| `WeighhouseFull` | mend it |\n", "",
     "docs/troubleshooting.md:0", "`WeighhouseFull`"),
    ("an alert that isn't there", "docs/troubleshooting.md", "`WeighhouseFull`", "`WeighhouseFool`",
     "docs/troubleshooting.md:7", "WeighhouseFool"),
    ("a flag without documentation", "docs/command-line.md", "| `pull --allow GLOB` | x |\n", "", "docs/command-line.md:0",
     "weighhouse pull --allow"),
    ("a flag that isn't there", "docs/command-line.md", "pull --allow GLOB", "pull --alow GLOB", "docs/command-line.md:5",
     "--alow"),
    ("a command line's flag", PAGE, "--allow '*'", "--alow '*'", "docs/page.md:25", "--alow"),
    ("a command line's command", PAGE, "x pull", "x pul", "docs/page.md:25", "pul"),
    ("a command line that isn't whole", PAGE, "hf://a/b --allow", "--allow", "docs/page.md:25", "lacks its MODEL"),
    ("a flag of kubectl's", PAGE, "pods -A", "pods --al", "docs/page.md:26", "unknown flag: --al"),
    ("a command of kubectl's", PAGE, "kubectl get", "kubectl gett", "docs/page.md:26", "gett"),
    ("a piece of an overlay", PAGE, "components/monitoring", "components/monitors", "docs/page.md:34", "monitors"),
    ("a patch that makes what Kubernetes refuses", PAGE, "minReadySeconds", "minReady", "docs/page.md:39", "minReady"),
    ("a block that nobody can check", PAGE, "```json", "```", "docs/page.md:12", "of no language"),
    ("a container", PAGE, "-c cache", "-c cached", "docs/page.md:28", "`cache`"),
    ("a secret's key", PAGE, "=HF_TOKEN=", "=HF_TOKEM=", "docs/page.md:29", "`HF_TOKEN`"),
    ("a value of the chart", PAGE, "image.tag=", "image.tags=", "docs/page.md:30", "`image.tag`"),
    ("a variable that nothing reads", PAGE, "`make build`", "`WEIGHHOUSE_BIM`", "docs/page.md:5", "WEIGHHOUSE_BIM"),
    ("a metric in a block", PAGE, "limit: 1\n", "limit: 1 # weighhouse_blops\n", "docs/page.md:8", "weighhouse_blobs"),
    ("a flag of the plugin's", PAGE, "--node n", "--nod n", "docs/page.md:27", "unknown flag '--nod'"),
    ("a flag of what the plugin runs", PAGE, "--allow 'x*'", "--alow 'x*'", "docs/page.md:27", "--alow"),
    ("a command of what the plugin runs", PAGE, "n pull", "n pul", "docs/page.md:27", "pul"),
    ("a target of make", PAGE, "`make build`", "`make buildd`", "docs/page.md:5", "no such target"),
    ("a link to nowhere", "docs/README.md", "(sources.md)", "(source.md)", "docs/README.md:3", "docs/source.md"),
    ("an anchor to nowhere", "docs/README.md", "#two-words", "#two-word", "docs/README.md:3", "#two-word"),
    ("a page that the index lacks", "docs/README.md", "[s](sources.md)", "", "docs/sources.md:0", "index"),
    ("a path to nowhere", PAGE, "csi/volume_context.cc", "csi/volume.cc", "docs/page.md:5", "csi/volume.cc"),
    ("YAML that doesn't parse", PAGE, "  limit: 1", "  limit: [", "docs/page.md:8", "doesn't parse"),
    ("a configuration that is wrong", PAGE, "  limit: 1", "  limitt: 1", "docs/page.md:8", "limitt is no key"),
    ("an object that Kubernetes refuses", PAGE, "provisioner: csi", "provizioner: csi", "docs/page.md:17", "provisioner"),
    ("YAML that nobody checks", PAGE, "cache:\n", "cash:\n", "docs/page.md:8", "neither an object's"),
    ("JSON that doesn't parse", PAGE, '{"a": 1}', '{"a": }', "docs/page.md:13", "doesn't parse"),
    ("a message that nobody says", "docs/troubleshooting.md", "is unknown", "is not known", "docs/troubleshooting.md:3",
     "no program says"),
    ("a quotation that says nothing", "docs/troubleshooting.md", "`layout … is unknown`", "`layout … is unknown`, `is`",
     "docs/troubleshooting.md:3", "too short"),
    ("a refusal without documentation", "csi/volume_context.cc", "Result<> G", 'Result<> H() { return Fail(Code::kNotFound, '
     '"the moon is gone"); }\nResult<> G', "csi/volume_context.cc:", "the moon is gone"),
]


class DocsCheck(unittest.TestCase):
    def setUp(self) -> None:
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="weighhouse-docs."))
        self.addCleanup(shutil.rmtree, self.root)
        self.addCleanup(setattr, messages, "LEFT_OUT", messages.LEFT_OUT)
        messages.LEFT_OUT = {}
        for name, text in CLEAN.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text, encoding="utf-8")
        self.bin = self.root / "build/bin"
        self.bin.mkdir(parents=True)
        for name in programs.NAMES:
            below = "\nSubcommands:\n  pull                        Fetch\n" if name == "weighhouse" else ""
            (self.bin / name).write_text(PROGRAM % HELP.format(sub=below), encoding="utf-8")
            (self.bin / name).chmod(0o755)

    def found(self) -> list[str]:
        return [str(finding) for finding in project.findings(self.root, self.bin)]

    def test_accepts_what_agrees(self) -> None:
        self.assertEqual(self.found(), [])

    def test_finds_each_planted_fault_and_says_where(self) -> None:
        for what, name, before, after, where, word in PLANTED:
            with self.subTest(what):
                self.assertIn(before, CLEAN[name])
                (self.root / name).write_text(CLEAN[name].replace(before, after), encoding="utf-8")
                found = self.found()
                self.assertTrue(any(line.startswith(where) and word in line for line in found), f"{what}: {found}")
                (self.root / name).write_text(CLEAN[name], encoding="utf-8")

    def test_finds_an_exception_that_excepts_nothing(self) -> None:
        messages.LEFT_OUT = {"csi/gone*.cc": "it was there once"}
        self.assertTrue(any("csi/gone*.cc" in line for line in self.found()))

    def test_says_to_build_where_a_program_is_missing(self) -> None:
        (self.bin / "weighhouse-csi").unlink()
        with self.assertRaisesRegex(FileNotFoundError, "make build"):
            self.found()


class Parts(unittest.TestCase):
    def test_neighbouring_literals_are_one_and_comments_none(self) -> None:
        code = '// "no"\nF("a \\"b\\" "\n  "c {:.1f}{{x}}", R"(raw {})");'
        self.assertEqual([sources.with_gaps(text) for _, text in sources.literals(code)], ['a "b" c …{x}', "raw …"])

    def test_a_quotation_keeps_the_order_of_its_parts(self) -> None:
        self.assertTrue(messages.quotes("need … limit", "need 3, but the limit is 2"))
        self.assertFalse(messages.quotes("limit … need", "need 3, but the limit is 2"))

    def test_a_shell_block_is_read_as_a_shell_reads_it(self) -> None:
        text = "A=1 weighhouse ls \\\n  --root x | kubectl exec p -- weighhouse status # no\nwrite 'a\n# b' > weighhouse\n"
        self.assertEqual([words for _, words in shell.commands(text, 1)],
                         [["weighhouse", "ls", "--root", "x"], ["kubectl", "exec", "p"], ["weighhouse", "status"], ["write", "a\n# b"]])

    def test_an_argument_may_be_repeated_where_help_says_so(self) -> None:
        for form, fault in (("TEXT REQUIRED", "has b, and its --help no place for it"), ("TEXT ... REQUIRED", None)):
            known = {"weighhouse": programs.parse_help(f"Positionals:\n  MODEL {form}  Which\n")[0]}
            self.assertEqual(programs.fault(known, ["weighhouse", "a", "b"], True), fault)
            self.assertEqual(programs.fault(known, ["weighhouse"], True), "lacks its MODEL")

    def test_an_anchor_is_a_forges(self) -> None:
        self.assertEqual(pages.slug("The `a.b` of [this](x.md), & more"), "the-ab-of-this--more")


if __name__ == "__main__":
    unittest.main()
