// One look at a clip: pictures, waveform, words, probabilities, votes. Everything is text or attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, content) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...content.filter((part) => part !== null && part !== undefined));
  return node;
}

const el = (tag, attributes = {}, ...content) => fill(document.createElement(tag), attributes, content);
const svg = (tag, attributes = {}, ...content) => fill(document.createElementNS(SVG, tag), attributes, content);

const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
const seconds = (time) => `${time.toFixed(2)} s`;
const share = (value) => value.toFixed(2);

/** A part of the look with its heading; nothing where it has no content. */
function part(title, ...content) {
  const there = content.filter(Boolean);
  return there.length ? el("section", {"aria-label": title}, el("h3", {}, title), ...there) : null;
}

/** Bars of one probability a class, the likeliest in bold; `truth` is marked. */
function bars(classes, values, truth = -1) {
  const top = values.indexOf(Math.max(...values));
  const rows = classes.map((name, at) => {
    const fillOf = el("i");
    fillOf.style.width = `${(100 * values[at]).toFixed(1)}%`;
    const says = el("span", {class: "hidden"}, at === truth ? " (the label)" : "");
    return el("li", {class: [at === top ? "top" : "", at === truth ? "true" : ""].join(" ").trim()},
      el("span", {class: "name"}, name, says), el("span", {class: "track", "aria-hidden": "true"}, fillOf),
      el("span", {class: "value"}, share(values[at])));
  });
  return el("ul", {class: "bars"}, ...rows);
}

/** Peaks, 0 to 255 on a square-root scale, as a symmetric outline; thin lines where words begin. */
function waveform(peaks, duration, words = []) {
  if (!peaks.length) return null;
  const step = 1000 / peaks.length;
  const up = Array.from(peaks, (peak, at) => `${((at + 0.5) * step).toFixed(1)},${(50 - (peak * 48) / 255).toFixed(1)}`);
  const down = Array.from(peaks, (peak, at) => `${((at + 0.5) * step).toFixed(1)},${(50 + (peak * 48) / 255).toFixed(1)}`);
  const marks = duration ? words.map((word) => {
    const x = ((1000 * word[1]) / duration).toFixed(1);
    return svg("line", {x1: x, x2: x, y1: 0, y2: 100});
  }) : [];
  const label = duration ? `Waveform of ${seconds(duration)}` : "Waveform";
  return svg("svg", {class: "wave", viewBox: "0 0 1000 100", preserveAspectRatio: "none", role: "img", "aria-label": label},
    svg("path", {d: `M0,50 L${up.join(" ")} L1000,50 L${down.reverse().join(" ")} Z`}), ...marks);
}

/** What is said; under each word when it begins, where that is known. */
function spoken(text, words = []) {
  if (words.length) {
    const parts = words.map(([word, start, end]) =>
      el("span", {title: `${seconds(start)} to ${seconds(end)}`}, word, el("small", {}, start.toFixed(2))));
    return el("p", {class: "words"}, ...parts);
  }
  return text ? el("p", {class: "words"}, text) : null;
}

/** A table of probabilities, a row an expert or modality; the shade of a cell is its probability. */
function votes(caption, classes, rows, heads = []) {
  const top = el("tr", {}, el("th", {scope: "col"}, caption), ...heads.map((head) => el("th", {scope: "col"}, head)),
    ...classes.map((name) => el("th", {scope: "col"}, name)));
  const body = rows.map((row) => {
    const most = Math.max(...row.values);
    const cells = row.values.map((value) => {
      const cell = el("td", {class: "heat"}, value === most ? el("b", {}, share(value)) : share(value));
      cell.style.setProperty("--share", value.toFixed(3));
      return cell;
    });
    return el("tr", {}, el("th", {scope: "row"}, row.name), ...(row.cells || []).map((cell) => el("td", {}, cell)), ...cells);
  });
  const table = el("table", {class: "heat"}, el("thead", {}, top), el("tbody", {}, ...body));
  return el("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": caption}, table);
}

/** A plain table; cells are text. */
function table(caption, heads, rows) {
  const top = el("tr", {}, ...heads.map((head) => el("th", {scope: "col"}, head)));
  const body = rows.map((row) => el("tr", {}, ...row.map((cell, at) => el(at ? "td" : "th", at ? {} : {scope: "row"}, cell))));
  return el("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": caption},
    el("table", {class: "text"}, el("thead", {}, top), el("tbody", {}, ...body)));
}
