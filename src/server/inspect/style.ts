/**
 * The stylesheet of a drawing: light and dark by the reader's preference. Active states get the
 * class `active`, the arrow just taken `taken`.
 */
export const DRAWING_STYLE = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b2430; --quiet: #5c6875; --line: #b9c2cc; --frame: #f1f4f7; --edge: #7c8896;
  --up: #13795b; --up-soft: #d8f3e6; --warn: #9a5b00; --warn-soft: #fdecc8; --down: #b3261e; --down-soft: #fbdeda; --accent: #2457c5;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #11161d; --card: #1a212b; --ink: #e6ebf1; --quiet: #98a4b3; --line: #3a4654; --frame: #151b23; --edge: #7d8b9b;
    --up: #58d6a5; --up-soft: #12392c; --warn: #f3b95c; --warn-soft: #41300f; --down: #ff8f85; --down-soft: #48201d; --accent: #86acff;
  }
}
.machine { font-family: var(--mono); fill: var(--ink); }
.machine text { font-size: 11px; white-space: pre; }
.machine text.title { font-size: 14px; font-weight: 600; }
.machine text.backend, .machine text.internal, .machine text.actor, .machine text.inner { fill: var(--quiet); }
.machine text.tag { fill: var(--accent); }
.machine rect.tag { fill: none; stroke: var(--accent); stroke-opacity: .45; }
.machine .body { fill: var(--card); stroke: var(--line); stroke-width: 1.25; }
.machine .ring { fill: none; stroke: var(--line); }
.machine .frame > .body { fill: var(--frame); }
.machine .parallel > .body { stroke-dasharray: 5 4; }
.machine .initial { fill: var(--edge); }
.machine .arrow path { fill: none; stroke: var(--edge); stroke-width: 1.25; }
.machine .arrow .head { fill: var(--edge); stroke: none; }
.machine .label rect { fill: var(--frame); }
.machine .state.active > .body { stroke: var(--up); stroke-width: 2; }
.machine .state.active:not(.frame) > .body { fill: var(--up-soft); stroke-width: 2.5; }
.machine .state.active > .title { fill: var(--up); }
.machine[data-status="degraded"] .state.active > .body { stroke: var(--warn); }
.machine[data-status="degraded"] .state.active:not(.frame) > .body { fill: var(--warn-soft); }
.machine[data-status="degraded"] .state.active > .title { fill: var(--warn); }
.machine[data-status="down"] .state.active > .body { stroke: var(--down); }
.machine[data-status="down"] .state.active:not(.frame) > .body { fill: var(--down-soft); }
.machine[data-status="down"] .state.active > .title { fill: var(--down); }
.machine[data-status="off"] .state.active > .body { stroke: var(--quiet); }
.machine[data-status="off"] .state.active:not(.frame) > .body { fill: var(--frame); }
.machine[data-status="off"] .state.active > .title { fill: var(--ink); }
.machine .state.active[data-state=""] > .body { stroke: var(--line); stroke-width: 1.25; }
.machine .state.active[data-state=""] > .title { fill: var(--ink); }
.machine .arrow.taken path { stroke: var(--accent); stroke-width: 2.5; }
.machine .arrow.taken .head { fill: var(--accent); stroke: none; }
.machine text.taken { fill: var(--accent); font-weight: 600; }
`;

/** The stylesheet of the page around the drawings; readable on a phone. */
const PAGE_STYLE = `
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.45 system-ui, "Segoe UI", Roboto, sans-serif; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 20px; padding: 14px 24px; background: var(--card); border-bottom: 1px solid var(--line); }
h1 { margin: 0; font-size: 20px; }
h1 small { font-weight: 400; color: var(--quiet); }
h2 { margin: 0; font-size: 13px; font-weight: 600; color: var(--quiet); text-transform: uppercase; letter-spacing: .05em; }
p { margin: 0; }
a { color: var(--accent); }
.note { padding: 12px 24px; }
.summary { flex: 1 1 240px; }
.summary::before { content: ""; display: inline-block; width: 10px; height: 10px; margin-right: 8px; border-radius: 50%; background: var(--line); }
.summary[data-status="pass"]::before { background: var(--up); }
.summary[data-status="warn"]::before { background: var(--warn); }
.summary[data-status="fail"]::before { background: var(--down); }
.link { padding: 1px 10px; border: 1px solid var(--line); border-radius: 10px; font-size: 13px; color: var(--quiet); }
.link[data-link="live"] { color: var(--up); border-color: currentColor; }
.link[data-link="lost"] { color: var(--down); border-color: currentColor; }
main { display: grid; grid-template-columns: minmax(0, 1fr); gap: 18px; padding: 18px 24px 32px; align-items: start; transition: opacity .3s; }
.lost main { opacity: .55; }
.side, .cards { display: grid; gap: 12px; grid-template-columns: minmax(0, 1fr); }
.services { grid-template-columns: repeat(2, minmax(0, 1fr)); }
.card, .log { padding: 12px 16px; background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow-wrap: anywhere; }
.card { border-left: 4px solid var(--line); font-size: 13px; }
.card[data-status="up"] { border-left-color: var(--up); }
.card[data-status="degraded"] { border-left-color: var(--warn); }
.card[data-status="down"] { border-left-color: var(--down); }
.card .value { margin: 2px 0 4px; font: 600 17px/1.3 var(--mono); }
.quiet { color: var(--quiet); }
.log ol { max-height: 360px; margin: 8px 0 0; padding: 0; overflow: auto; list-style: none; font-size: 13px; }
.log li { padding: 6px 0; border-top: 1px solid var(--line); }
.log .what { font: 600 13px/1.4 var(--mono); }
.log .why { color: var(--quiet); }
.pictures { display: grid; gap: 18px; grid-template-columns: minmax(0, 1fr); }
figure { margin: 0; overflow-x: auto; }
figure svg { display: block; max-width: 100%; min-width: 820px; height: auto; }
figure li.active { font-weight: 700; color: var(--accent); }
@media (min-width: 1240px) {
  main { grid-template-columns: 380px minmax(0, 1fr); }
}
@media (min-width: 640px) and (max-width: 1239px) {
  .machines { grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); }
  .services { grid-template-columns: repeat(4, minmax(0, 1fr)); }
}
@media (max-width: 639px) {
  header, main { padding-left: 14px; padding-right: 14px; }
}
`;

/** What `/inspect/style.css` serves. */
export const STYLE = DRAWING_STYLE + PAGE_STYLE;
