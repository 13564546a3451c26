// SPDX-License-Identifier: Apache-2.0
// The dashboard: what /api says, drawn. No frameworks and no build; everything that comes from the API is put in as text.
const SECONDS = 120, POLL_MS = 3000, RETRY_MS = 2000;
const at = (id) => document.getElementById(id);
const events = [];
let token = sessionStorage.getItem("token") || "";
let stream = null;

// ---- The API

class Refused extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

async function ask(method, path, content) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (content) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: content && JSON.stringify(content), cache: "no-store", credentials: "omit" });
  const said = await answer.json().catch(() => ({}));
  if (answer.status === 422) return said;
  if (!answer.ok) throw new Refused(answer.status, said.detail || `status ${answer.status}`);
  return said;
}

// Server-sent events by hand: EventSource cannot send a token.
async function listen(on_event) {
  stream = new AbortController();
  const answer = await fetch("/api/events", { headers: token ? { Authorization: `Bearer ${token}` } : {}, cache: "no-store", credentials: "omit", signal: stream.signal });
  if (!answer.ok) throw new Refused(answer.status, (await answer.json().catch(() => ({}))).detail || "refused");
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2))
      on_event(JSON.parse(text.slice(0, end).replace(/^data: /, "")));
  }
}

// ---- Words and numbers

const short = (n) => (n >= 1e6 ? `${(n / 1e6).toFixed(1)}M` : n >= 1e4 ? `${(n / 1e3).toFixed(1)}k` : n >= 100 || Number.isInteger(n) ? `${Math.round(n)}` : n.toFixed(1));
const octets = (n) => (n >= 1 << 20 ? `${(n / (1 << 20)).toFixed(1)} MiB/s` : n >= 1024 ? `${(n / 1024).toFixed(1)} KiB/s` : `${Math.round(n)} B/s`);
const time_of = (us) => (us === Infinity ? "longer" : us >= 1e6 ? `${us / 1e6} s` : `${us / 1e3} ms`);
const sum = (list) => list.reduce((a, b) => a + b, 0);

function percentile(e, part) {
  const all = sum(e.latency);
  let left = all * part;
  if (!all) return "-";
  for (let i = 0; i < e.latency.length; i++)
    if ((left -= e.latency[i]) <= 0) return `≤ ${time_of(e.latency_bounds_us[i] ?? Infinity)}`;
  return "-";
}

function element(name, properties = {}, ...children) {
  const e = Object.assign(document.createElement(name), properties);
  e.append(...children);
  return e;
}

function say(id, text) {
  if (at(id).textContent !== text) at(id).textContent = text;
}

// ---- Traffic

function show_event(e) {
  const a_second = 1000 / (e.span_ms || 1000);
  events.push(e);
  if (events.length > SECONDS) events.shift();
  say("n-requests", short(sum(e.requests) * a_second));
  say("n-errors", short((e.requests[5] + e.requests[0]) * a_second));
  say("n-median", percentile(e, 0.5));
  say("n-p99", percentile(e, 0.99));
  say("n-connections", short(e.connections));
  say("n-tunnels", short(e.tunnels));
  say("n-sent", octets(e.bytes_out * a_second));
  say("n-received", octets(e.bytes_in * a_second));
  const looked = e.cache_hits + e.cache_forwards;
  say("n-hits", looked ? `${Math.round((100 * e.cache_hits) / looked)} %` : "-");
  say("n-retries", short(e.retries * a_second));
  say("generation", `generation ${e.generation}`);
  draw();
}

function canvas_of(id) {
  const c = at(id), ratio = devicePixelRatio || 1, w = c.clientWidth, h = c.clientHeight;
  if (c.width !== Math.round(w * ratio)) c.width = Math.round(w * ratio);
  if (c.height !== Math.round(h * ratio)) c.height = Math.round(h * ratio);
  const g = c.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, w, h);
  g.font = "11px system-ui, sans-serif";
  return { g, w, h };
}

function draw() {
  if (document.hidden) return;
  const style = getComputedStyle(document.documentElement), color = (name) => style.getPropertyValue(name).trim();
  draw_status(canvas_of("chart-status"), color);
  draw_latency(canvas_of("chart-latency"), color);
}

function draw_status({ g, w, h }, color) {
  const classes = [["--s2", [1, 2]], ["--s3", [3]], ["--s4", [4]], ["--s5", [5, 0]]];
  const most = Math.max(1, ...events.map((e) => sum(e.requests))), step = w / SECONDS;
  events.forEach((e, i) => {
    let y = h;
    for (const [name, indexes] of classes) {
      const part = (sum(indexes.map((k) => e.requests[k])) / most) * (h - 16);
      g.fillStyle = color(name);
      g.fillRect(w - (events.length - i) * step, y - part, Math.max(1, step - 0.5), part);
      y -= part;
    }
  });
  g.fillStyle = color("--faint");
  g.fillText(short(most), 4, 12);
}

function draw_latency({ g, w, h }, color) {
  if (!events.length) return;
  const bounds = events[events.length - 1].latency_bounds_us, rows = bounds.length + 1, label = 52, step = (w - label) / SECONDS, height = h / rows;
  const most = Math.max(1, ...events.flatMap((e) => e.latency)), heat = color("--heat");
  events.forEach((e, i) => {
    e.latency.forEach((n, row) => {
      if (!n) return;
      g.fillStyle = `rgba(${heat}, ${0.15 + (0.85 * Math.log1p(n)) / Math.log1p(most)})`;
      g.fillRect(w - (events.length - i) * step, h - (row + 1) * height, Math.max(1, step - 0.5), height - 0.5);
    });
  });
  g.fillStyle = color("--faint");
  for (let row = 1; row < rows; row += 3) g.fillText(time_of(bounds[row]), 4, h - row * height + 4);
}

// ---- Pools

const ACTIONS = { drain: "take no new sessions", disable: "get no request", enable: "be used again" };

async function order(server, action) {
  if (!(await confirmed(`Server ${server.server} of pool ${server.pool} is to ${ACTIONS[action]}?`))) return;
  await attempt(() => ask("POST", `/api/pools/${encodeURIComponent(server.pool)}/servers/${encodeURIComponent(server.server)}`, { action }));
  await show_pools();
}

function server_row(s) {
  const button = (action) => element("button", { type: "button", textContent: action, ariaLabel: `${action} ${s.server}`, onclick: () => order(s, action) });
  const number = (text) => element("td", { className: "number", textContent: text });
  const open = s.state === "draining" || s.state === "disabled" ? ["enable"] : ["drain", "disable"];
  return element("tr", {},
    element("td", { textContent: s.address && s.address !== s.server ? `${s.server} (${s.address})` : s.server }),
    element("td", {}, element("span", { className: `state ${s.state}`, textContent: s.state + (s.backup ? ", backup" : "") })),
    number(s.weight), number(s.requests), number(s.connections), number(short(s.failures)), number(`${s.latency_ms.toFixed(1)} ms`),
    element("td", {}, ...open.map(button)));
}

function pool_table(pool, servers) {
  const head = ["server", "state", "weight", "under way", "connections", "failures", "latency", "do"].map((name, i) => element("th", { scope: "col", className: i > 1 && i < 7 ? "number" : "", textContent: name }));
  return element("div", { className: "wide" }, element("table", {},
    element("caption", { textContent: `${pool.pool}: ${pool.balance}${pool.waiting ? `, ${pool.waiting} waiting` : ""}` }),
    element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...servers.map(server_row))));
}

async function show_pools() {
  const { pools, servers } = await ask("GET", "/api/pools");
  if (at("pool-list").contains(document.activeElement)) return; // somebody is about to press a button
  at("pool-list").replaceChildren(...pools.map((p) => pool_table(p, servers.filter((s) => s.pool === p.pool))));
  if (!pools.length) say("pool-list", "There are no pools.");
}

// ---- Certificates, configuration

async function show_certificates() {
  const list = await ask("GET", "/api/certificates");
  at("certificate-list").replaceChildren(...list.map((c) => element("p", {}, `${c.name}: `, element("span", { className: c.expired ? "state expired" : "", textContent: c.expired ? `expired on ${c.expires}` : `expires on ${c.expires}` }))));
  if (!list.length) say("certificate-list", "No site has a certificate of its own.");
}

const word = (w) => (/^[^\s"{};#]+$/.test(w) ? w : JSON.stringify(w));

function text_of(s, depth) {
  const parts = [s.statement, ...s.arguments.map(word)];
  if (s.when) parts.push(`when { ${s.when.map((c) => `${c.not ? "not " : ""}${c.condition} ${c.arguments.map(word).join(" ")}`).join("; ")} }`);
  if (s.target) parts.push("->", ...s.target.map(word));
  if (s.choice) parts.push(`{ ${s.choice.map((c) => [c.statement, ...c.arguments.map(word)].join(" ")).join("; ")} }`);
  const line = "    ".repeat(depth) + (s.not ? "not " : "") + parts.join(" ");
  return s.block ? `${line} {\n${s.block.map((x) => text_of(x, depth + 1)).join("")}${"    ".repeat(depth)}}\n` : `${line}\n`;
}

async function show_configuration() {
  const root = await ask("GET", "/api/configuration");
  say("configuration-text", (root.block || []).map((s) => text_of(s, 0)).join(""));
}

async function show_status() {
  const s = await ask("GET", "/api/status");
  say("version", `${s.version}, up ${Math.floor(s.uptime_s / 3600)} h ${Math.floor((s.uptime_s % 3600) / 60)} min, ${s.threads} threads`);
}

// ---- What is done

async function confirmed(text) {
  const d = at("confirm");
  say("confirm-text", text);
  d.returnValue = "no";
  d.showModal();
  await new Promise((done) => d.addEventListener("close", done, { once: true }));
  return d.returnValue === "yes";
}

async function attempt(action, answer) {
  try {
    const said = await action();
    if (answer) say(answer, said.findings ? said.findings.map((f) => `${f.file}:${f.line}:${f.column}: ${f.level}: ${f.text}`).join("\n") : said.changes ?? said.text ?? JSON.stringify(said));
  } catch (e) {
    if (answer) say(answer, e.message);
    else at("link").textContent = e.message;
    if (e.status === 401) ask_for_token();
  }
}

function ask_for_token() {
  const d = at("token");
  if (d.open) return;
  at("token-value").value = "";
  d.returnValue = "no";
  d.showModal();
}

at("token").addEventListener("close", () => {
  if (at("token").returnValue !== "yes") return;
  token = at("token-value").value.trim();
  sessionStorage.setItem("token", token);
  stream?.abort();
  refresh();
});
at("token-open").addEventListener("click", ask_for_token);
at("purge").addEventListener("submit", async (ev) => {
  ev.preventDefault();
  const form = new FormData(at("purge")), kind = form.get("kind"), what = form.get("what");
  if (!(await confirmed(kind === "all" ? "All stored responses are to go?" : `What is stored for the ${kind} ${what} is to go?`))) return;
  await attempt(() => ask("POST", "/api/cache/purge", { [kind]: kind === "all" ? true : what, soft: form.has("soft") }), "cache-answer");
});
at("why").addEventListener("click", () => attempt(() => ask("GET", `/api/cache/why?url=${encodeURIComponent(at("purge").elements.what.value)}`), "cache-answer"));
at("reload").addEventListener("click", async () => {
  if (!(await confirmed("The changed files are to come into force?"))) return;
  await attempt(() => ask("POST", "/api/reload"), "reload-answer");
  await attempt(show_configuration);
});
addEventListener("resize", draw);
document.addEventListener("visibilitychange", draw);

// ---- Life

async function refresh() {
  await attempt(async () => {
    await Promise.all([show_status(), show_pools(), show_certificates(), show_configuration()]);
    return {};
  });
}

async function follow() {
  let generation = 0;
  for (;;) {
    try {
      await listen((e) => {
        say("link", "live");
        at("link").className = "";
        if (e.generation !== generation && generation) refresh();
        generation = e.generation;
        show_event(e);
      });
    } catch (e) {
      say("link", e.status ? e.message : "weir does not answer");
      at("link").className = "lost";
      if (e.status === 401) ask_for_token();
    }
    await new Promise((done) => setTimeout(done, RETRY_MS));
  }
}

refresh();
follow();
setInterval(() => document.hidden || at("token").open || attempt(async () => (await Promise.all([show_status(), show_pools()]), {})), POLL_MS);
