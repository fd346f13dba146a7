import { SERVICES } from '../../core/mode.ts';
import type { Machine, Machines } from '../../runtime/types.ts';
import { escapeXml } from '../../diagram/escape.ts';
import { stateTree, walkStates } from '../../diagram/graph.ts';

/** The page's icon: a wall with battlements. */
export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#2457c5"/><path d="M6 24V12h4v3h4v-5h4v5h4v-3h4v12z" fill="#fff"/></svg>`;

/**
 * The HTML of `/inspect`. It holds no state of the machines: the client fills it in from the
 * stream's first event, so that there is one way to bring it up to date.
 *
 * @param drawings - SVG text by machine; a machine without one gets a list of its states
 * @param version - what the stream's snapshot must say for the page to be still the right one
 */
export function renderPage(machines: Machines, drawings: ReadonlyMap<string, string>, version: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Redoubt · machines</title>
<link rel="icon" href="inspect/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="inspect/style.css">
<script src="inspect/client.js" defer></script>
</head>
<body data-version="${escapeXml(version)}">
<header>
<h1>Redoubt <small>machines</small></h1>
<p id="summary" class="summary" role="status">Waiting for the first event …</p>
<p id="link" class="link" data-link="waiting">connecting</p>
</header>
<noscript><p class="note">This page follows the machines by script. <a href="health">/health</a> shows the same as text.</p></noscript>
<main>
<div class="side">
<section class="cards machines" aria-label="Machines">
${machines.all.map(renderCard).join('\n')}
</section>
<section class="cards services" aria-label="Services">
${SERVICES.map(renderService).join('\n')}
</section>
<section class="log" aria-label="Transitions">
<h2>Transitions</h2>
<ol id="transitions"></ol>
<p id="none" class="quiet">None yet.</p>
</section>
</div>
<section class="pictures" aria-label="Pictures">
${machines.all.map((machine) => renderPicture(machine, drawings.get(machine.id))).join('\n')}
</section>
</main>
</body>
</html>
`;
}

function renderCard({ id }: Machine): string {
  return `<article class="card" data-card="${escapeXml(id)}">
<h2>${escapeXml(id)}</h2>
<p class="value" data-field="state">…</p>
<p data-field="reason"></p>
<p class="quiet"><span data-field="since"></span> <span data-field="probe"></span> <span data-field="flapping" hidden>held down: it flaps</span></p>
</article>`;
}

function renderService(name: string): string {
  return `<article class="card" data-service="${name}">
<h2>${name}</h2>
<p class="value" data-field="backend">…</p>
<p data-field="notice"></p>
<p class="quiet" data-field="scope"></p>
</article>`;
}

function renderPicture({ id, definition }: Machine, drawing: string | undefined): string {
  if (drawing !== undefined) return `<figure>${drawing}</figure>`;
  const states = [...walkStates(stateTree(definition))].filter((state) => state.path !== '');
  const items = states.map(({ path }) => `<li class="state" data-state="${escapeXml(path)}">${escapeXml(path)}</li>`);
  return `<figure><figcaption>${escapeXml(id)} could not be drawn; its states:</figcaption><ul data-machine="${escapeXml(id)}">${items.join('')}</ul></figure>`;
}
