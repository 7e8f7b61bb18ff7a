// The server's page: take or record a clip, send it, show the answer. `clip.js` stands before this in the same scope.

const at = (id) => document.getElementById(id);
const MIB = 1048576;
const RECORD_SECONDS = 60;
let about = null;
let token = new URLSearchParams(window.location.hash.slice(1)).get("token") || "";
let sending = null;
let recorder = null;

if (token) window.history.replaceState(null, "", window.location.pathname); // it stays in no history

const authorised = () => (token ? {Authorization: `Bearer ${token}`} : {});

function say(text) {
  at("status").textContent = text;
}

function complain(text) {
  at("fault").textContent = text;
  at("fault").hidden = !text;
}

async function learn() {
  let answer;
  try {
    answer = await fetch("/api/about", {headers: authorised()});
  } catch {
    complain("The server does not answer.");
    return;
  }
  at("asks").hidden = answer.status !== 401;
  if (!answer.ok) {
    complain(answer.status === 401 ? "This server asks for its token." : `The server says ${answer.status}.`);
    return;
  }
  complain("");
  about = await answer.json();
  at("about").textContent =
    `${tells()}, by ${about.modalities.join(", ")}. Up to ${about.megabytes} MiB and ` +
    `${about.seconds} seconds; nothing is kept.`;
  at("warning").textContent = about.warning || "";
  at("warning").hidden = !about.warning;
  at("by-group").hidden = !about.by_group;
}

/** What the bundle tells of a clip. */
function tells() {
  const parts = about.classes.length ? [`One of ${about.classes.join(", ")}`] : [];
  if (about.targets.length) parts.push(`${parts.length ? "numbers" : "Numbers"} for ${about.targets.join(", ")}`);
  return parts.join(", and ");
}

const number = (value) => (value === null ? "unbounded" : String(Number(value.toPrecision(4))));

const numbers = (of) => Object.entries(of).map(([name, one]) => `${name} ${number(one.value)}`);

/** The label with its share, then each target: a line. */
function told(found) {
  const label = found.label === null ? [] : [`${found.label}, ${Math.round(100 * found.probabilities[found.label])} %`];
  return [...label, ...numbers(found.targets)].join("; ");
}

/** A row a target, with its interval. */
function targets(found) {
  const rows = Object.entries(found.targets).map(([name, of]) => [name, number(of.value), number(of.low), number(of.high)]);
  return rows.length ? table("Targets", ["target", "value", "from", "to"], rows) : null;
}

/** Send a file; progress as it goes, and the answer in the end. */
function send(file, name) {
  if (sending) return;
  complain("");
  if (about && file.size > about.megabytes * MIB) {
    complain(`${name} is larger than ${about.megabytes} MiB.`);
    return;
  }
  const query = new URLSearchParams({name, transcript: at("transcript").value});
  if (at("cut").checked) query.set("timeline", "true");
  if (at("group").value) query.set("group", at("group").value);
  const request = new XMLHttpRequest();
  sending = request;
  request.open("POST", `/api/predict?${query}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  for (const [header, value] of Object.entries(authorised())) request.setRequestHeader(header, value);
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) say(`Sending ${name}: ${Math.floor((100 * event.loaded) / event.total)} %`);
  });
  request.upload.addEventListener("load", () => say(`Looking at ${name} …`));
  request.addEventListener("load", () => answered(request, name));
  request.addEventListener("error", () => complain(`${name}: the connection broke; the file may be too large.`));
  request.addEventListener("abort", () => say("Cancelled."));
  request.addEventListener("loadend", () => {
    sending = null;
    at("cancel").hidden = true;
    if (request.status !== 200 && request.readyState === 4 && request.status !== 0) say("");
  });
  at("cancel").hidden = false;
  say(`Sending ${name}`);
  request.send(file);
}

function answered(request, name) {
  let found = null;
  try {
    found = JSON.parse(request.responseText);
  } catch {
    found = {message: `the server says ${request.status}`};
  }
  if (request.status === 200) {
    say(`${found.name}: ${told(found)}.`);
    show(found);
    return;
  }
  const again = request.getResponseHeader("Retry-After");
  complain(`${name}: ${found.message}${again ? ` (in ${again} seconds)` : ""}`);
  at("asks").hidden = request.status !== 401;
}

const jpeg = (base64) => `data:image/jpeg;base64,${base64}`;

function faces(pictures) {
  const parts = [];
  if (pictures.frame) {
    parts.push(el("figure", {class: "frame"}, el("img", {src: jpeg(pictures.frame), alt: "A frame from the middle"}),
      el("figcaption", {}, "frame")));
  }
  for (const face of pictures.faces) {
    parts.push(el("figure", {}, el("img", {src: jpeg(face.jpeg), alt: `Face at ${seconds(face.seconds)}`}),
      el("figcaption", {}, seconds(face.seconds))));
  }
  return parts.length ? el("div", {class: "row"}, ...parts) : null;
}

function lacking(found) {
  const lines = Object.entries(found.absent).map(([name, note]) => `no ${name}: ${note}`);
  return [...lines, ...found.notes].map((line) => el("p", {class: "note"}, line));
}

function show(found) {
  const classes = Object.keys(found.probabilities);
  const values = (of) => classes.map((name) => of[name]);
  const words = found.words.map((word) => [word.text, word.start, word.end]);
  const rows = Object.entries(found.by_modality).map(([name, of]) => ({name, values: values(of)}));
  rows.push({name: "fused", values: values(found.probabilities)});
  const id = `answer-${at("answers").children.length}`;
  const head = el("h2", {id, tabindex: -1}, found.name);
  const sure = found.label === null ? told(found) : el("small", {}, share(found.probabilities[found.label]));
  const took = `${seconds(found.seconds)} long; ${seconds(found.took.decoding)} to decode, ${seconds(found.took.predicting)} to predict`;
  const answer = el("article", {class: "answer", "aria-labelledby": id}, head,
    el("p", {class: "big"}, found.label || "", " ", sure), el("p", {class: "note"}, took), ...lacking(found),
    el("div", {class: "look"},
      part("Probabilities", classes.length ? bars(classes, values(found.probabilities)) : null),
      part("Targets", targets(found)),
      part("Each modality", classes.length ? votes("modality", classes, rows) : null),
      part("Face", faces(found.pictures)),
      part("Sound", waveform(bytes(found.pictures.peaks), found.seconds, words)),
      part("Words", spoken(found.transcript, words)),
      part("Timeline", found.timeline ? timeline(found.timeline, found.seconds) : null)));
  at("answers").prepend(answer);
  head.focus({preventScroll: true});
  answer.scrollIntoView({block: "start"});
}

/** A row an utterance: when, what is said, and which class. */
function timeline(rows, duration) {
  if (!rows.length) return el("p", {class: "note"}, "Nobody is heard to speak.");
  const said = (row) => [...(row.label ? [row.label] : []), ...numbers(row.targets)].join("; ") || "-";
  const lines = rows.map((row) => [`${row.start.toFixed(1)} to ${row.end.toFixed(1)} s`, said(row), row.transcript || ""]);
  const strip = svg("svg", {class: "timeline", viewBox: "0 0 1000 40", preserveAspectRatio: "none", role: "img",
    "aria-label": `${rows.length} utterances in ${seconds(duration)}`},
  ...rows.map((row) => svg("rect", {x: ((1000 * row.start) / duration).toFixed(1), y: 4, height: 32, rx: 4,
    width: Math.max(2, (1000 * (row.end - row.start)) / duration).toFixed(1), class: "utterance"})));
  return el("div", {}, strip, table("Timeline", ["time", "emotion", "words"], lines));
}

async function record(wanted) {
  complain("");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia(wanted);
  } catch (error) {
    complain(`Nothing can be recorded: ${error.message}`);
    return;
  }
  const parts = [];
  recorder = new MediaRecorder(stream);
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  recorder.addEventListener("stop", () => {
    for (const track of stream.getTracks()) track.stop();
    recording(false);
    send(new Blob(parts, {type: recorder.mimeType}), wanted.video ? "recording.webm" : "recording-sound.webm");
  });
  if (wanted.video) {
    at("preview").srcObject = stream;
    at("preview").play();
  }
  recording(true, Boolean(wanted.video));
  recorder.start();
  const own = recorder;
  const longest = Math.min(RECORD_SECONDS, about ? about.seconds : RECORD_SECONDS);
  setTimeout(() => own.state === "recording" && own.stop(), 1000 * longest);
}

function recording(on, seen = false) {
  at("film").hidden = at("voice").hidden = on;
  at("stop").hidden = !on;
  at("preview").hidden = !(on && seen);
  if (on) {
    say("Recording …");
    at("stop").focus();
  } else {
    at("preview").srcObject = null;
  }
}

at("file").addEventListener("change", () => {
  const [file] = at("file").files;
  if (file) send(file, file.name);
  at("file").value = "";
});
at("form").addEventListener("submit", (event) => event.preventDefault());
at("film").addEventListener("click", () => record({audio: true, video: true}));
at("voice").addEventListener("click", () => record({audio: true}));
at("stop").addEventListener("click", () => recorder && recorder.stop());
at("cancel").addEventListener("click", () => sending && sending.abort());
at("token").addEventListener("change", () => {
  token = at("token").value.trim();
  learn();
});
for (const kind of ["dragover", "dragenter"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) at("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) send(file, file.name);
});
if (!(navigator.mediaDevices && window.MediaRecorder)) at("film").hidden = at("voice").hidden = true;
learn();
