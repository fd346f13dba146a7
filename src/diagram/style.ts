const MONO = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace';

const LIGHT = {
  page: '#f6f7f9',
  card: '#ffffff',
  ink: '#1b2430',
  quiet: '#5c6875',
  line: '#b9c2cc',
  frame: '#f1f4f7',
  edge: '#7c8896',
  up: '#13795b',
  'up-soft': '#d8f3e6',
  warn: '#9a5b00',
  'warn-soft': '#fdecc8',
  down: '#b3261e',
  'down-soft': '#fbdeda',
  accent: '#2457c5',
} as const;

const DARK = {
  page: '#11161d',
  card: '#1a212b',
  ink: '#e6ebf1',
  quiet: '#98a4b3',
  line: '#3a4654',
  frame: '#151b23',
  edge: '#7d8b9b',
  up: '#58d6a5',
  'up-soft': '#12392c',
  warn: '#f3b95c',
  'warn-soft': '#41300f',
  down: '#ff8f85',
  'down-soft': '#48201d',
  accent: '#86acff',
} as const satisfies Record<keyof typeof LIGHT, string>;

const LOOKS = `
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
`;

const ACTIVE = `
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

/**
 * The stylesheet of a drawing on a page: light and dark by the reader's preference. Active states
 * get the class `active`, the arrow just taken `taken`.
 */
export const DRAWING_STYLE = `
:root { color-scheme: light dark; ${variables(LIGHT)} --mono: ${MONO}; }
@media (prefers-color-scheme: dark) {
  :root { ${variables(DARK)} }
}
${LOOKS.trim()}
${ACTIVE.trim()}
`;

/**
 * The stylesheet inside a drawing that is a file of its own. Without variables, which some
 * programs that show SVG do not know: they would paint everything black.
 */
export const FILE_STYLE = `
${filled(LIGHT)}
@media (prefers-color-scheme: dark) {
${filled(DARK)}
}
`;

function variables(colours: Readonly<Record<string, string>>): string {
  return Object.entries(colours)
    .map(([name, value]) => `--${name}: ${value};`)
    .join(' ');
}

function filled(colours: Readonly<Record<string, string>>): string {
  const rules = `${LOOKS.trim()}\n.machine > .page { fill: var(--page); }`;
  return rules.replaceAll(/var\(--([\w-]+)\)/g, (whole, name: string) =>
    name === 'mono' ? MONO : (colours[name] ?? whole),
  );
}
