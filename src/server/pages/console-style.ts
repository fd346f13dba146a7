/** The console's style: light and dark by the reader's setting, one column on a phone. */
export const CONSOLE_STYLE = `
:root {
  color-scheme: light dark;
  --back: light-dark(#f6f7f9, #14161a);
  --card: light-dark(#ffffff, #1d2026);
  --line: light-dark(#dfe3e8, #31363f);
  --text: light-dark(#1b1f24, #e7e9ec);
  --quiet: light-dark(#59636e, #9aa4b0);
  --good: light-dark(#17703c, #6ddb97);
  --warn: light-dark(#8a5a00, #f0bf57);
  --bad: light-dark(#b3261e, #ff8f86);
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 64rem;
  background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif;
}
h1 { margin: 0; font-size: 1.5rem; display: flex; align-items: center; gap: .75rem; }
h2 { margin: 2rem 0 .75rem; font-size: 1rem; color: var(--quiet); font-weight: 600; }
#summary { margin: .75rem 0; font-size: 1.1rem; max-width: 48rem; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 1rem; }
a { color: inherit; text-underline-offset: .2em; }
.pill {
  font-size: .9rem; font-weight: 600; padding: .1rem .75rem; border-radius: 1rem;
  border: 1px solid currentColor; color: var(--quiet);
}
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.cards { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 14.5rem), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem; min-width: 0; }
.card h3 { margin: 0; font-size: .95rem; font-weight: 600; color: var(--quiet); }
.card .value { font-size: 1.25rem; font-weight: 600; overflow-wrap: anywhere; }
.card p { margin: .25rem 0 0; font-size: .875rem; color: var(--quiet); overflow-wrap: anywhere; }
ol { list-style: none; margin: 0; padding: 0; }
li {
  display: grid; grid-template-columns: 7rem 6rem 1fr; gap: 0 .75rem; padding: .5rem 0;
  border-top: 1px solid var(--line); font-size: .9rem; font-variant-numeric: tabular-nums;
}
li time, li .quiet { color: var(--quiet); }
li .why { grid-column: 3; color: var(--quiet); overflow-wrap: anywhere; }
footer { margin-top: 2rem; color: var(--quiet); font-size: .875rem; overflow-wrap: anywhere; }
@media (max-width: 34rem) {
  li { grid-template-columns: 1fr auto; }
  li .change, li .why { grid-column: 1 / -1; }
}
`;
