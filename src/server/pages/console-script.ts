/**
 * The console's script: asks /health every second and writes it down. Everything goes in as text,
 * never as markup.
 */
export const CONSOLE_SCRIPT = `
const EVERY_MS = 1000;
const TIMEOUT_MS = 3000;
const SHOWN = 15;
const TONES = { pass: 'good', warn: 'warn', fail: 'bad', up: 'good', degraded: 'warn', down: 'bad' };
const byId = (id) => document.getElementById(id);

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function ago(iso) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(iso)) / 1000));
  if (seconds < 120) return seconds + ' s';
  if (seconds < 7200) return Math.floor(seconds / 60) + ' min';
  return Math.floor(seconds / 3600) + ' h';
}

function card(title, value, tone, lines) {
  const node = element('article', 'card');
  const shown = element('div', 'value ' + tone);
  // A long state breaks at its dots.
  value.split('.').forEach((part, i) => shown.append(...(i === 0 ? [part] : ['.', element('wbr'), part])));
  node.append(element('h3', '', title), shown);
  for (const line of lines.filter(Boolean)) node.append(element('p', '', line));
  return node;
}

function serviceCard([name, service]) {
  const { backend, preferred, scope, notice } = service;
  const tone = backend === 'none' ? 'bad' : backend === preferred ? 'good' : 'warn';
  return card(name, backend, tone, [
    backend === preferred ? '' : 'prefers ' + preferred,
    scope === 'fleet' ? 'shared by all instances' : 'this instance only',
    notice,
  ]);
}

function machineCard([id, machine]) {
  const next = machine.nextProbeAt && Date.parse(machine.nextProbeAt) - Date.now();
  return card(id, machine.state, machine.state === 'disabled' ? '' : TONES[machine.status], [
    'for ' + ago(machine.since) + (machine.flapping ? ', flapping' : ''),
    machine.reason.message,
    machine.status !== 'up' && next > 0 ? 'next probe in ' + (next / 1000).toFixed(1) + ' s' : '',
  ]);
}

function transitionItem(transition) {
  const node = element('li');
  const time = element('time', '', new Date(transition.at).toLocaleTimeString());
  time.dateTime = transition.at;
  node.append(
    time,
    element('span', 'quiet', transition.machine),
    element('span', 'change', transition.from + ' → ' + transition.to),
    element('span', 'why', transition.event + ': ' + transition.reason.message),
  );
  return node;
}

function show(report) {
  const pill = byId('status');
  if (pill.textContent !== report.status) pill.textContent = report.status;
  pill.className = 'pill ' + TONES[report.status];
  document.title = 'Redoubt: ' + report.status;
  byId('summary').textContent = report.summary ?? 'This server shows details only with its API token.';
  if (!report.machines) return;
  byId('services').replaceChildren(...Object.entries(report.services).map(serviceCard));
  byId('machines').replaceChildren(...Object.entries(report.machines).map(machineCard));
  const transitions = Object.entries(report.machines)
    .flatMap(([machine, { transitions }]) => transitions.map((each) => ({ ...each, machine })))
    .sort((a, b) => b.at.localeCompare(a.at))
    .slice(0, SHOWN);
  byId('transitions').replaceChildren(
    ...(transitions.length > 0 ? transitions.map(transitionItem) : [element('li', '', 'None yet')]),
  );
  byId('footer').textContent = 'Version ' + report.version + ', instance ' + report.instance;
}

function showSilence() {
  const pill = byId('status');
  pill.textContent = 'no answer';
  pill.className = 'pill bad';
  document.title = 'Redoubt: no answer';
  byId('summary').textContent = 'The server does not answer. What stands below is the last it said.';
}

async function poll() {
  try {
    const response = await fetch('/health', { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) });
    show(await response.json());
  } catch {
    showSilence();
  }
  setTimeout(poll, EVERY_MS);
}

poll();
`;
