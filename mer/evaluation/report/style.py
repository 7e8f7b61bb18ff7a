"""The report's style sheet: one column on a phone, light or dark as the reader's system is."""

from __future__ import annotations

from mer.pages import source

OWN = """\
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.15rem; margin: 0 0 .25rem; }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: .6rem; padding: 1rem 1.1rem;
  margin-top: 1rem; }
.note, figcaption, caption, dt, small { color: var(--soft); font-size: .86rem; }
.note { margin: 0 0 .75rem; max-width: 46rem; }
.grid { display: grid; gap: 1rem 1.5rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); }
.small { display: grid; gap: .75rem 1.25rem; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); }
.big { font-size: 2.6rem; font-weight: 650; line-height: 1.1; }
.big small { font-size: 1rem; font-weight: 400; margin-left: .5rem; }
dl { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: .5rem 0 0; }
dl div { display: flex; gap: .4rem; align-items: baseline; }
dd { margin: 0; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin-top: .5rem; }
.scroll:focus-visible { outline: 2px solid rgb(var(--accent)); }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .35rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--rule); text-align: right; }
th:first-child, .text td, .text th { text-align: left; }
th { font-weight: 600; }
.wide { width: 100%; }
.text td, .text th { overflow-wrap: anywhere; vertical-align: top; }
td.bar { background: linear-gradient(90deg, rgb(var(--accent) / .28) calc(var(--share) * 100%), transparent 0);
  min-width: 6rem; }
table.heat { border-collapse: separate; border-spacing: 2px; }
table.heat th { font-weight: 400; font-size: .84rem; border: 0; padding: .2rem .3rem; }
table.heat thead th { text-align: center; }
td.heat { background: rgb(var(--accent) / calc(var(--share) * var(--shade) + .04)); border: 0; border-radius: .2rem;
  text-align: center; min-width: 3rem; height: 2.6rem; padding: .1rem; line-height: 1.1; }
td.heat small { display: block; font-size: .72rem; color: inherit; }
figure { margin: 0; min-width: 0; }
figcaption { display: flex; justify-content: space-between; gap: .5rem; }
figcaption b { color: var(--ink); font-weight: 600; }
svg { display: block; width: 100%; height: auto; }
svg.interval { max-width: 24rem; margin: .4rem 0; }
svg.square { max-width: 22rem; }
svg text { font-size: 11px; fill: var(--soft); }
.axis, .frame { stroke: var(--rule); fill: none; stroke-width: 1.5; }
.line { stroke: rgb(var(--accent)); fill: none; stroke-width: 1.75; stroke-linejoin: round; }
.dot { fill: rgb(var(--accent)); }
.band { fill: rgb(var(--accent) / .3); }
.mark { stroke: rgb(var(--warn)); stroke-width: 2; }
.ideal { stroke: var(--soft); stroke-dasharray: 4 4; }
.clips { display: grid; gap: .9rem; grid-template-columns: repeat(auto-fill, minmax(min(45%, 12rem), 1fr)); }
.clip { border: 1px solid var(--rule); border-radius: .5rem; overflow: hidden; }
.clip img, .blank { display: block; width: 100%; aspect-ratio: 4 / 3; object-fit: cover; background: var(--page); }
.blank { display: grid; place-items: center; color: var(--soft); font-size: .86rem; }
.clip div { padding: .5rem .65rem .65rem; }
.clip p { margin: .15rem 0 0; font-size: .9rem; overflow-wrap: anywhere; }
.clip .wrong { color: rgb(var(--warn)); }
summary { cursor: pointer; }
mark { background: none; color: rgb(var(--warn)); font-weight: 600; }
"""


def style_sheet() -> str:
    """All of it, with what pages share."""
    return source("tokens.css") + OWN + source("clip.css", "explorer.css")
