"use strict";
// Asks for the status document every two seconds and shows it. What it says becomes text nodes and attributes, never
// markup: model and pod names are strangers' words.

const EVERY_MS = 2000;
const PATIENCE_MS = 5000;
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

// Elements
function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}
function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}
function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}
/** Replaces what differs only, so that what a reader has selected stays selected. */
function show(id, ...children) {
  const wanted = element("div", {}, ...children);
  const shown = $(id).childNodes;
  const same = shown.length === wanted.childNodes.length &&
    [...shown].every((node, number) => node.isEqualNode(wanted.childNodes[number]));
  if (!same) $(id).replaceChildren(...wanted.childNodes);
}

// Words: as the command line writes sizes and times
function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (count >= 1023.95 && unit + 1 < units.length) {
    count /= 1024;
    ++unit;
  }
  return `${unit === 0 ? count : count.toFixed(1)} ${units[unit]}`;
}
function duration(seconds) {
  seconds = Math.max(0, Math.round(seconds));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  return `${Math.floor(seconds / 86400)} days`;
}
function ago(unix, now) {
  return now - unix < 1 ? "now" : `${duration(now - unix)} ago`;
}
function percent(done, total) {
  return total > 0 && done < total ? Math.floor(done * 100 / total) : 100;
}
function counted(number, one, many) {
  return `${number} ${number === 1 ? one : many}`;
}
function timeOf(unix) {
  return new Date(unix * 1000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"});
}
/** What people know it as, without its revision, which has a place of its own; else the beginning of its id. */
function nameOf(snapshot) {
  if (!snapshot.references || snapshot.references.length === 0) return snapshot.origin || snapshot.id;
  const reference = snapshot.references[0];
  const mark = reference.lastIndexOf("@");
  return mark > reference.indexOf("://") ? reference.slice(0, mark) : reference;
}

// Sections
function table(id, columns, rows) {
  $(id).hidden = rows.length === 0;
  const head = columns.map(([label, kind]) => element("th", {scope: "col", class: kind}, label));
  const body = rows.map((row) => element("tr", {}, ...row.map((cell, number) =>
    element("td", {class: columns[number][1], "data-label": columns[number][0]}, element("span", {}, cell)))));
  show(id, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
}

function showSpace({capacity}) {
  const other = Math.max(0, capacity.used - capacity.held - capacity.evictable);
  const total = Math.max(capacity.limit, capacity.used + capacity.unallocated, 1);
  const parts = [
    ["held", "in use or kept", capacity.held],
    ["evictable", "goes when needed", capacity.evictable],
    ["other", "fetched in part", other],
    ["promised", "promised to fetches and claims", capacity.unallocated],
    ["free", "free", total - capacity.used - capacity.unallocated],
  ];
  show("space-sum", `${bytes(capacity.used)} of ${bytes(capacity.limit)} used (${percent(capacity.used, total)} %), ` +
    `${bytes(capacity.available)} available to one more model`);
  let from = 0;
  show("space-bar", ...parts.map(([kind, , size]) => {
    const width = Math.max(0, size) * 1000 / total;
    from += width;
    return drawn("rect", {class: kind, x: from - width, y: 0, width, height: 10});
  }));
  show("space-legend", ...parts.map(([kind, label, size]) => element("li", {class: kind}, `${label} ${bytes(size)}`)));
  show("space-disk", `Filesystem: ${bytes(capacity.filesystem_free)} free of ${bytes(capacity.filesystem_total)}, ` +
    `${bytes(capacity.min_free)} stay free`);
}

function fillDetails(fill) {
  const parts = [`${bytes(fill.bytes_present)} of ${bytes(fill.bytes)}`];
  if (fill.waiting) return [...parts, fill.waiting_for ? `waits: ${fill.waiting_for}` : "waits for its source"];
  if (fill.bytes_per_second > 0) parts.push(`${bytes(fill.bytes_per_second)}/s`);
  parts.push(counted(fill.connections, "connection", "connections"));
  parts.push(`${fill.files_done} of ${counted(fill.files, "file", "files")}`);
  if (fill.seconds_left !== null) parts.push(`${duration(fill.seconds_left)} left`);
  return parts;
}

function showFills({fills}) {
  if (fills.length === 0) return show("fills", element("p", {class: "quiet"}, "Nothing."));
  show("fills", ...fills.map((fill) => element("div", {class: "fill"},
    element("p", {}, element("span", {class: "name"}, nameOf(fill)),
      element("span", {class: "percent"}, `${percent(fill.bytes_present, fill.bytes)} %`)),
    element("progress", {max: Math.max(fill.bytes, 1), value: fill.bytes_present, "aria-label": nameOf(fill)}),
    element("p", {class: "quiet"}, fillDetails(fill).join(" · ")))));
}

function stateOf(snapshot) {
  const part = snapshot.state === "complete" ? "" : ` ${percent(snapshot.bytes_present, snapshot.bytes)} %`;
  return `${snapshot.state}${part}${snapshot.kept ? ", kept" : ""}`;
}

function showModels({snapshots, snapshot_count: count, details, now_unix: now}) {
  $("hidden-names").hidden = details || snapshots.length === 0;
  const named = details ? [["Model", ""], ["Revision", "short"]] : [];
  table("models",
    [...named, ["Id", "short"], ["Size", "number"], ["State", "short"], ["Pods", "number"], ["Last used", "short"]],
    snapshots.map((one) => [...(details ? [nameOf(one), one.revision.slice(0, 12)] : []), one.id, bytes(one.bytes),
      stateOf(one), `${one.lease_count}`, ago(one.last_used_unix, now)]));
  const more = count === 0 ? "None yet." :
    count > snapshots.length ? `${snapshots.length} of ${count}: those used last. weighhouse ls on the node shows all.` : "";
  $("models-more").hidden = more === "";
  show("models-more", more);
}

function showLeases(status) {
  const waiting = status.waiting_for_space > 0 ? `, ${counted(status.waiting_for_space, "pod waits", "pods wait")} for room` : "";
  show("leases-sum", `${counted(status.lease_count, "pod has", "pods have")} a model mounted, ` +
    `${counted(status.hold_count, "volume has", "volumes have")} room kept until a pod comes${waiting}.`);
  const pods = status.snapshots.flatMap((snapshot) => (snapshot.leases || []).map((pod) =>
    [pod.pod_namespace, pod.pod_name, nameOf(snapshot)]));
  table("leases", [["Namespace", ""], ["Pod", ""], ["Model", ""]], pods);
  const named = status.details ? [["Volume", ""], ["Model", ""]] : [];
  table("holds", [...named, ["Id", "short"], ["Room kept", "number"], ["Ends in", "short"]],
    status.holds.map((hold) => [...(status.details ? [hold.volume_id, hold.model] : []),
      hold.snapshot_id || "–", bytes(hold.bytes), duration(hold.ends_unix - status.now_unix)]));
}

function showEvicted({evicted, now_unix: now}) {
  const day = 86400;
  const most = Math.max(...evicted.bytes, 1);
  const x = (unix) => Math.max(0, (unix - (now - day)) * 144 / day);
  const sum = (numbers) => numbers.reduce((one, other) => one + other, 0);
  const since = Math.min(day, now - evicted.begins_unix);
  const span = since < day - evicted.step_seconds ? `, in the ${duration(since)} since the daemon's start` : "";
  show("evicted-sum", `${counted(sum(evicted.snapshots), "model", "models")}, ${bytes(sum(evicted.bytes))}${span}`);
  const bars = evicted.bytes.map((size, number) => {
    const begins = evicted.begins_unix + number * evicted.step_seconds;
    const height = size > 0 ? Math.max(1, size * 40 / most) : 0;
    return drawn("rect", {x: x(begins), y: 40 - height, width: Math.max(0, x(begins + evicted.step_seconds) - x(begins)), height},
      drawn("title", {}, `${timeOf(begins)}: ${bytes(size)}`));
  });
  const unknown = drawn("rect", {class: "unknown", x: 0, y: 0, width: x(evicted.begins_unix), height: 40});
  show("evicted", unknown, ...bars.filter((_, number) => evicted.bytes[number] > 0));
  show("evicted-from", since < day - evicted.step_seconds ? "24 h ago (grey: not running)" : "24 h ago");
}

/** Pairs of a name and what is said of it; a third element marks what somebody should look at. */
function healthOf(status) {
  const {integrity, configuration, keep, now_unix: now} = status;
  const lines = [["Write engine", status.write_engine + (status.fallback_reason ? ` (not io_uring: ${status.fallback_reason})` : "")],
    ["Fetched", `${bytes(status.bytes_fetched)} since the start`]];
  const pass = integrity.scrub_last_pass_unix > 0 ? `last full pass ${ago(integrity.scrub_last_pass_unix, now)}` : "no full pass yet";
  lines.push(["Scrub", integrity.scrub_daily_bytes === 0 ? "off" :
    `${pass}, ${bytes(integrity.scrub_bytes_today)} of ${bytes(integrity.scrub_daily_bytes)} today`]);
  lines.push(["Bad files", `${integrity.quarantined_blobs} in quarantine (${bytes(integrity.quarantined_bytes)})`, integrity.quarantined_blobs > 0]);
  if (integrity.damaged_count > 0) {
    const pods = (integrity.damaged || []).map((pod) => `${pod.pod_namespace}/${pod.pod_name}`).join(", ");
    lines.push(["Damaged", `${counted(integrity.damaged_count, "pod reads", "pods read")} a damaged file: replace them. ${pods}`, true]);
  }
  if (keep.length > 0) {
    const troubles = keep.filter((one) => !one.in_order);
    const why = troubles.map((one) => one.model ? ` ${one.model}: ${one.problem}.` : "").join("");
    lines.push(["Kept models", `${keep.filter((one) => one.snapshot_id).length} of ${keep.length} complete` +
      (troubles.length > 0 ? `, ${troubles.length} not what their source has now.${why}` : ""), troubles.length > 0]);
  }
  if (configuration) {
    const restart = configuration.applies_at_restart.length > 0 ? ` At restart: ${configuration.applies_at_restart.join(", ")}.` : "";
    const warnings = (configuration.warnings || []).map((one) => ` ${one}`).join("");
    const amount = configuration.warning_count > 0 ? ` ${counted(configuration.warning_count, "warning", "warnings")}.` : "";
    lines.push(["Configuration", (configuration.valid ? `in effect for ${duration(now - configuration.applied_unix)}.` :
      `the file was rejected, an earlier one is in effect: ${configuration.error || "weighhouse status says why"}.`) +
      restart + amount + warnings, !configuration.valid || configuration.warning_count > 0]);
  }
  return lines;
}

function showStatus(status) {
  show("running", `running for ${duration(status.now_unix - status.started_unix)}`);
  for (const section of [showSpace, showFills, showModels, showLeases, showEvicted]) section(status);
  show("health", ...healthOf(status).flatMap(([name, text, wrong]) =>
    [element("dt", {}, name), element("dd", wrong ? {class: "wrong"} : {}, text)]));
}

// What the daemon is up to
const BANNERS = {
  starting: "The daemon is starting: it reads what its disk has. Pods wait meanwhile; nothing else is to be done.",
  stopping: "The daemon is stopping. Pods go on reading what they have mounted.",
};
let answered = null; // when the last answer came, by the reader's clock

function showPhase(phase, kind, banner) {
  show("phase", phase);
  $("phase").className = `pill ${kind}`;
  $("banner").hidden = banner === "";
  show("banner", banner);
}

function onAnswer(status) {
  if (status.format !== 1) throw new Error(`the daemon's answer has format ${status.format}: load the page again`);
  answered = new Date().toLocaleTimeString();
  document.body.classList.remove("away");
  show("version", status.version);
  show("when", `As of ${new Date(status.now_unix * 1000).toLocaleTimeString()}.`);
  const whole = status.phase === "serving" && !status.problem;
  if (whole) showStatus(status);
  if (status.phase === "starting") show("running");
  $("content").hidden = !whole;
  showPhase(status.phase, whole ? "good" : "bad",
    status.problem ? `The daemon can't read its store: ${status.problem}` : BANNERS[status.phase] || "");
}

function onSilence(error) {
  document.body.classList.add("away");
  const last = answered === null ? "" : ` What is shown is as of ${answered}.`;
  showPhase("away", "bad", `The daemon does not answer (${error.message}).${last} Asking again every ${EVERY_MS / 1000} s.`);
}

async function ask() {
  const reply = await fetch("api/v1/status", {cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS)});
  if (!reply.ok) throw new Error(`HTTP status ${reply.status}: ${(await reply.text()).trim()}`);
  return reply.json();
}

/** One question at a time, and none while nobody looks. */
async function run() {
  for (;;) {
    if (document.hidden) {
      await new Promise((seen) => document.addEventListener("visibilitychange", seen, {once: true}));
      continue;
    }
    try {
      onAnswer(await ask());
    } catch (error) {
      onSilence(error);
    }
    await new Promise((later) => setTimeout(later, EVERY_MS));
  }
}
run();
