import { DRAWING_STYLE } from '../../diagram/style.ts';

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
