// The report's clips: filter, list and open them. `clip.js` stands before this in the same scope.

const DATA = JSON.parse(document.getElementById("clips").textContent);
const PARTS = {out_of_fold: "out of fold", test: "test split", unlabeled: "unlabeled"};
const PAGE = 24;
const ANY = "";
const BUNDLE = -1;
const count = DATA.id.length;
const everyClip = Array.from({length: count}, (_, at) => at);
const blocks = new Map();
const state = {part: ANY, actual: ANY, predicted: ANY, show: "all", order: "corpus", text: "", page: 0};

const name = (label) => (label < 0 ? "unknown" : DATA.classes[label]);
const probabilities = (clip) => DATA.classes.map((_, c) => DATA.permille[clip * DATA.classes.length + c] / 1000);
const confidence = (clip) => probabilities(clip)[DATA.predicted[clip]];
const isWrong = (clip) => DATA.actual[clip] >= 0 && DATA.actual[clip] !== DATA.predicted[clip];
const isRight = (clip) => DATA.actual[clip] >= 0 && DATA.actual[clip] === DATA.predicted[clip];
const wasRight = (clip) => DATA.was[clip] === DATA.actual[clip];

const SHOWN = {
  all: ["all", () => true],
  wrong: ["predicted wrong", isWrong],
  right: ["predicted right", isRight],
  faulty: ["with a fault in quarantine", (clip) => clip in DATA.faults],
  pseudo: ["with a pseudo-label", (clip) => clip in DATA.history],
};
if (DATA.was) {
  Object.assign(SHOWN, {
    fixed: ["wrong in the other run, right now", (clip) => isRight(clip) && !wasRight(clip)],
    broken: ["right in the other run, wrong now", (clip) => isWrong(clip) && wasRight(clip)],
    changed: ["predicted otherwise in the other run", (clip) => DATA.was[clip] !== DATA.predicted[clip]],
  });
}
const ORDERS = {
  corpus: ["corpus order", (a, b) => a - b],
  sure: ["most confident first", (a, b) => confidence(b) - confidence(a) || a - b],
  unsure: ["least confident first", (a, b) => confidence(a) - confidence(b) || a - b],
};

/** The pictures of a clip as data URIs, unpacked from the page's own blocks when they are first wanted. */
function pictures(clip) {
  if (!DATA.pictured[clip]) return {};
  const number = Math.floor(clip / DATA.chunk);
  if (!blocks.has(number)) {
    const block = document.getElementById(`pictures-${number}`);
    if (!block) return {}; // the page is still loading: the list is drawn again when it is there
    blocks.set(number, block.textContent.trim().split("\n"));
  }
  const [frame, crops] = blocks.get(number)[clip % DATA.chunk].split(" ");
  const uri = (base64) => (base64 ? `data:image/webp;base64,${base64}` : "");
  return {frame: uri(frame), crops: uri(crops)};
}

function select(label, key, options) {
  const field = el("select", {id: `by-${key}`, name: key}, ...options.map(([value, text]) => el("option", {value}, text)));
  field.addEventListener("change", () => list({[key]: field.value}));
  return el("div", {class: "field"}, el("label", {for: field.id}, label), field);
}

function controls() {
  const classes = [[ANY, "any"], ...DATA.classes.map((text, at) => [String(at), text])];
  const parts = Object.keys(PARTS).filter((part) => DATA.part.includes(part));
  const search = el("input", {id: "by-text", type: "search", autocomplete: "off", spellcheck: "false"});
  search.addEventListener("input", () => list({text: search.value}));
  const reset = el("button", {type: "button"}, "Show all");
  reset.addEventListener("click", () => list({part: ANY, actual: ANY, predicted: ANY, show: "all", text: ""}));
  const form = el("form", {role: "search", class: "filters", "aria-label": "Choose clips"},
    select("Clips", "part", [[ANY, "any"], ...parts.map((part) => [part, PARTS[part]])]),
    select("Actual", "actual", classes), select("Predicted", "predicted", classes),
    select("Show", "show", Object.entries(SHOWN).map(([key, [text]]) => [key, text])),
    select("Order", "order", Object.entries(ORDERS).map(([key, [text]]) => [key, text])),
    el("div", {class: "field"}, el("label", {for: "by-text"}, "Clip, words or speaker"), search), reset);
  form.addEventListener("submit", (event) => event.preventDefault());
  return form;
}

function chosen() {
  const text = state.text.trim().toLowerCase();
  const [, wanted] = SHOWN[state.show];
  const found = everyClip.filter((clip) =>
    (state.part === ANY || DATA.part[clip] === state.part) &&
    (state.actual === ANY || DATA.actual[clip] === Number(state.actual)) &&
    (state.predicted === ANY || DATA.predicted[clip] === Number(state.predicted)) &&
    wanted(clip) &&
    (!text || `${DATA.id[clip]}\n${DATA.text[clip]}\n${DATA.group[clip]}`.toLowerCase().includes(text)));
  return found.sort(ORDERS[state.order][1]);
}

function card(clip, among) {
  const {frame, crops} = pictures(clip);
  const picture = frame || crops
    ? el("img", {src: frame || crops, alt: "", loading: "lazy", decoding: "async"})
    : el("span", {class: "blank"}, "no picture");
  const guess = el("span", {class: isWrong(clip) ? "wrong" : ""}, name(DATA.predicted[clip]));
  const labels = DATA.actual[clip] < 0 ? [guess] : isWrong(clip) ? [`${name(DATA.actual[clip])} → `, guess] : [guess, " ✓"];
  const button = el("button", {type: "button", class: "card"}, picture,
    el("b", {}, DATA.id[clip]), el("span", {}, ...labels, ` ${share(confidence(clip))}`));
  button.addEventListener("click", () => open(clip, among));
  return el("li", {}, button);
}

const cards = el("ol", {class: "cards", "aria-label": "Clips"});
const status = el("p", {class: "note", role: "status", tabindex: -1});
const previous = el("button", {type: "button"}, "Previous page");
const next = el("button", {type: "button"}, "Next page");
previous.addEventListener("click", () => list({page: state.page - 1}));
next.addEventListener("click", () => list({page: state.page + 1}));

/** Show the clips that the state asks for; whatever changes but the page goes back to the first page. */
function list(change = {}) {
  Object.assign(state, {page: 0}, change);
  for (const key of ["part", "actual", "predicted", "show", "order", "text"]) {
    const field = document.getElementById(`by-${key}`);
    if (field && field.value !== state[key]) field.value = state[key];
  }
  const among = chosen();
  const pages = Math.max(1, Math.ceil(among.length / PAGE));
  state.page = Math.min(Math.max(0, state.page), pages - 1);
  const first = state.page * PAGE;
  cards.replaceChildren(...among.slice(first, first + PAGE).map((clip) => card(clip, among)));
  const shown = among.length > PAGE ? `; ${first + 1} to ${Math.min(among.length, first + PAGE)} are shown` : "";
  const cell = state.actual !== ANY && state.predicted !== ANY
    ? `, actual ${name(Number(state.actual))}, predicted ${name(Number(state.predicted))}` : "";
  status.textContent = `${among.length} of ${count} clips${state.part ? `, ${PARTS[state.part]}` : ""}${cell}${shown}.`;
  previous.disabled = state.page === 0;
  next.disabled = state.page >= pages - 1;
}

const dialog = el("dialog", {"aria-labelledby": "clip-name"});
let here = [];

function facts(clip) {
  const values = [
    ["clips", PARTS[DATA.part[clip]]],
    ["actual", name(DATA.actual[clip])],
    ["predicted", name(DATA.predicted[clip])],
    ["fold", DATA.fold[clip] < 0 ? "" : String(DATA.fold[clip])],
    ["group", DATA.group[clip]],
    ["length", DATA.seconds[clip] ? seconds(DATA.seconds[clip]) : ""],
    ["other run", DATA.was ? name(DATA.was[clip]) : ""],
  ];
  return el("dl", {}, ...values.filter(([, value]) => value).map(([key, value]) =>
    el("div", {}, el("dt", {}, key), el("dd", {}, value))));
}

function expertVotes(clip) {
  if (!(clip in DATA.votes)) return null;
  const said = bytes(DATA.votes[clip]);
  const width = DATA.classes.length;
  const rows = DATA.experts.map((expert, e) => ({
    name: expert,
    cells: [share(DATA.weights[clip][e] / 1000)],
    values: Array.from(said.slice(e * width, (e + 1) * width), (value) => value / 255),
  }));
  return votes("expert", DATA.classes, rows.filter((row) => Math.max(...row.values) > 0), ["weight"]);
}

function history(clip) {
  const rows = (DATA.history[clip] || []).map(([fold, round, label, sure, kept]) =>
    [String(round), fold === BUNDLE ? "the bundle" : `fold ${fold}`, label, share(sure), kept ? "kept" : "not kept"]);
  return rows.length ? table("Pseudo-labels", ["round", "for", "label", "confidence", "round was"], rows) : null;
}

function open(clip, among) {
  here = among;
  const {frame, crops} = pictures(clip);
  const words = DATA.words[clip] || [];
  const place = among.indexOf(clip);
  const step = (text, to) => {
    const button = el("button", {type: "button", disabled: !(to >= 0 && to < among.length)}, text);
    button.addEventListener("click", () => open(among[to], among));
    return button;
  };
  const close = el("button", {type: "button"}, "Close");
  close.addEventListener("click", () => dialog.close());
  const bar = el("div", {class: "bar"}, step("Previous clip", place - 1), step("Next clip", place + 1), close);
  const warned = DATA.part[clip] === "test"
    ? el("p", {class: "note"}, "A test clip: who changes a model after looking at these has tuned it on the test split.")
    : null;
  const images = [
    frame && el("img", {src: frame, alt: `Frame from the middle of ${DATA.id[clip]}`}),
    crops && el("img", {src: crops, alt: `Face crops of ${DATA.id[clip]}, in order of time`}),
  ].filter(Boolean);
  const faults = (DATA.faults[clip] || []).map(([stage, kind, fault, message]) => [stage, kind, fault, message]);
  dialog.replaceChildren(
    el("h2", {id: "clip-name", tabindex: -1}, DATA.id[clip]), bar, facts(clip),
    el("div", {class: "look"}, warned,
      part("Face", images.length ? el("div", {class: "row"}, ...images) : null),
      part("Sound", waveform(bytes(DATA.peaks[clip]), DATA.seconds[clip], words)),
      part("Words", spoken(DATA.text[clip], words)),
      part("Probabilities", bars(DATA.classes, probabilities(clip), DATA.actual[clip])),
      part("Votes of the experts", expertVotes(clip)),
      part("Pseudo-label history", history(clip)),
      part("Faults", faults.length ? table("Faults", ["stage", "kind", "fault", "message"], faults) : null)));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  document.getElementById("clip-name").focus();
  window.history.replaceState(null, "", `#clip=${encodeURIComponent(DATA.id[clip])}`);
}

dialog.addEventListener("close", () => {
  window.history.replaceState(null, "", "#explore");
});
dialog.addEventListener("keydown", (event) => {
  const move = {ArrowLeft: -1, ArrowRight: 1}[event.key];
  if (!move || event.target.closest(".scroll")) return;
  const to = here.indexOf(everyClip.find((clip) => DATA.id[clip] === document.getElementById("clip-name").textContent)) + move;
  if (to >= 0 && to < here.length) open(here[to], here);
});

function goToList() {
  document.getElementById("explore").scrollIntoView();
  status.focus({preventScroll: true});
}

/** Whatever on the page names clips leads to them: cells of a confusion, counts of changes, cards of mistakes. */
function connect() {
  for (const cell of document.querySelectorAll("[data-list]")) {
    const wanted = JSON.parse(cell.dataset.list);
    const button = el("button", {type: "button", class: "lists", "aria-label": cell.dataset.says}, ...cell.childNodes);
    button.addEventListener("click", () => {
      list({part: ANY, actual: ANY, predicted: ANY, show: "all", text: "", order: state.order, ...wanted});
      goToList();
    });
    cell.replaceChildren(button);
  }
  for (const place of document.querySelectorAll("[data-clip]")) {
    const clip = DATA.id.indexOf(place.dataset.clip);
    if (clip < 0) continue;
    const button = el("button", {type: "button"}, "Look closer");
    button.setAttribute("aria-label", `Look closer at ${DATA.id[clip]}`);
    button.addEventListener("click", () => open(clip, chosen()));
    place.append(button);
  }
}

function openNamed() {
  const found = window.location.hash.match(/^#clip=(.*)$/);
  if (!found) return;
  let wanted = "";
  try {
    wanted = decodeURIComponent(found[1]);
  } catch {
    return; // not a name that this page wrote
  }
  const clip = DATA.id.indexOf(wanted);
  if (clip >= 0) open(clip, chosen());
}

document.getElementById("explorer").replaceChildren(
  controls(), status, cards, el("nav", {class: "bar", "aria-label": "Pages of clips"}, previous, next), dialog);
connect();
list();
const whole = () => {
  list({page: state.page}); // now that all pictures are there
  openNamed();
};
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", whole);
else whole();
window.addEventListener("hashchange", openNamed);
