import type { PageDocument, PageElement, PageWindow } from './dom.ts';
import type { HealthEvent, MachineView, Numbered, SnapshotEvent, TransitionEvent } from './events.ts';

// The functions of this file run in the browser: their source is served as text. So they import
// types alone, use nothing of this module but each other, and write text only as textContent.

interface Handlers {
  live(on: boolean): void;
  snapshot(event: SnapshotEvent): void;
  transition(event: TransitionEvent): void;
  health(event: HealthEvent): void;
}

/** Keeps a stream open for ever: after an error, a refusal or 5 s of silence a new one follows the last id. */
function follow(window: PageWindow, handlers: Handlers): void {
  let last = '';
  const open = (): void => {
    const source = new window.EventSource(`inspect/events${last === '' ? '' : `?after=${encodeURIComponent(last)}`}`);
    let watchdog: number | undefined;
    let ended = false;
    const again = (): void => {
      if (ended) return;
      ended = true;
      window.clearTimeout(watchdog);
      source.close();
      handlers.live(false);
      // Jitter: all open pages lost the server in the same moment.
      window.setTimeout(open, 500 + Math.random() * 1000);
    };
    const alive = (): void => {
      window.clearTimeout(watchdog);
      watchdog = window.setTimeout(again, 5000);
    };
    for (const name of ['snapshot', 'transition', 'health'] as const) {
      source.addEventListener(name, ({ data, lastEventId }) => {
        alive();
        if (lastEventId !== '') last = lastEventId;
        handlers.live(true);
        handlers[name](JSON.parse(data));
      });
    }
    source.addEventListener('error', again);
    alive();
  };
  open();
}

/** Milliseconds as people say them: `0.4 s`, `12 s`, `5 min`, `3 h`. */
function say(ms: number): string {
  if (ms < 10_000) return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}

function fill(parent: PageElement | null, field: string, value: string): void {
  const element = parent?.querySelector(`[data-field="${field}"]`);
  if (element && element.textContent !== value) element.textContent = value;
}

/** Whether a state of the picture is one that the machine is in: `degraded` while in `degraded.slow`. */
function isActive(path: string, state: string): boolean {
  return path === '' || state.split('+').some((part) => part === path || part.startsWith(`${path}.`));
}

/** `off` for what is out of use on purpose, which is no fault. */
function toneOf(view: MachineView): string {
  return view.reason.code === 'disabled' ? 'off' : view.status;
}

function markState(document: PageDocument, view: MachineView): void {
  for (const picture of document.querySelectorAll('[data-machine]')) {
    if (picture.dataset['machine'] !== view.id) continue;
    picture.dataset['status'] = toneOf(view);
    for (const state of picture.querySelectorAll('.state')) {
      const active = isActive(state.getAttribute('data-state') ?? '', view.state);
      state.classList.toggle('active', active);
    }
  }
}

/** On a narrow screen the picture is wider than its frame: brings the active state into sight. */
function reveal(document: PageDocument, view: MachineView): void {
  for (const state of document.querySelectorAll('.machine .state.active')) {
    if (state.getAttribute('data-state') !== view.state) continue;
    const frame = state.closest('figure');
    if (!frame || state.closest('[data-machine]')?.dataset['machine'] !== view.id) continue;
    const [inner, outer] = [state.getBoundingClientRect(), frame.getBoundingClientRect()];
    frame.scrollBy({ left: inner.left + inner.width / 2 - outer.left - outer.width / 2, behavior: 'smooth' });
  }
}

/** Marks the arrow and the line of the event that led here; those of an inherited event hang on a state around it. */
function markTaken(document: PageDocument, { machine, from, to, event }: Numbered): void {
  for (const picture of document.querySelectorAll('[data-machine]')) {
    if (picture.dataset['machine'] !== machine) continue;
    let closest = -1;
    const fits = (element: PageElement): number => {
      const [begin, end] = [element.dataset['from'] ?? '', element.dataset['to'] ?? ''];
      const named = element.dataset['event'];
      return named === event && isActive(begin, from) && isActive(end, to) ? begin.length : -1;
    };
    for (const line of picture.querySelectorAll('[data-event]')) closest = Math.max(closest, fits(line));
    const taken = new Set<string>();
    for (const line of picture.querySelectorAll('[data-event]')) {
      const on = closest >= 0 && fits(line) === closest;
      line.classList.toggle('taken', on);
      if (on && line.dataset['arrow'] !== undefined) taken.add(line.dataset['arrow'] ?? '');
    }
    for (const arrow of picture.querySelectorAll('.arrow')) {
      arrow.classList.toggle('taken', taken.has(arrow.dataset['arrow'] ?? ''));
    }
  }
}

function showMachine(document: PageDocument, view: MachineView, now: number): void {
  markState(document, view);
  for (const card of document.querySelectorAll('[data-card]')) {
    if (card.dataset['card'] !== view.id) continue;
    card.dataset['status'] = toneOf(view);
    fill(card, 'state', view.state);
    fill(card, 'reason', view.reason.message);
    fill(card, 'since', `for ${say(now - view.since)}`);
    const next = view.nextProbeAt;
    // While all is well probes follow each other so fast that the figure would only flicker.
    const told = next !== null && next > now && view.status !== 'up';
    fill(card, 'probe', told ? `· next probe in ${say(next - now)}` : '');
    const flapping = card.querySelector('[data-field="flapping"]');
    if (flapping) flapping.hidden = !view.flapping;
  }
}

function showHealth(document: PageDocument, event: HealthEvent): void {
  const summary = document.querySelector('#summary');
  if (summary) {
    summary.textContent = event.summary;
    summary.dataset['status'] = event.status;
  }
  for (const [name, service] of Object.entries(event.services)) {
    const card = document.querySelector(`[data-service="${name}"]`);
    if (card) card.dataset['status'] = service.backend === service.preferred ? 'up' : 'degraded';
    fill(card, 'backend', service.backend);
    fill(card, 'notice', service.notice ?? '');
    fill(card, 'scope', service.scope === 'fleet' ? 'shared by all instances' : 'this instance only');
  }
}

/** The event as people say it: XState's own ones carry the path of their state. */
function sayEvent(event: string): string {
  const after = /^xstate\.after\.([^.]+)\./.exec(event);
  if (after) return `after ${after[1]}`;
  return event.replace(/^xstate\.done\.actor\..*/, 'actor done').replace(/^xstate\.error\.actor\..*/, 'actor failed');
}

function addTransition(document: PageDocument, transition: Numbered): void {
  const list = document.querySelector('#transitions');
  const none = document.querySelector('#none');
  if (!list) return;
  if (none) none.hidden = true;
  const line = (className: string, text: string): PageElement => {
    const element = document.createElement('div');
    element.className = className;
    element.textContent = text;
    return element;
  };
  const at = new Date(transition.at);
  const time = `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, '0')}`;
  const { machine, from, to, event, spentMs, reason } = transition;
  const item = document.createElement('li');
  item.dataset['id'] = transition.id;
  item.append(
    line('quiet', `${time} · ${machine} · ${sayEvent(event)}`),
    line('what', `${from} → ${to}`),
    line('why', `after ${say(spentMs)} · ${reason.message}`),
  );
  list.prepend(item);
  while (list.childElementCount > 100) list.lastElementChild?.remove();
}

function start(window: PageWindow): void {
  const { document } = window;
  const views = new Map<string, MachineView>();
  // The server's clock less ours: times are the server's.
  let ahead = 0;
  const show = (view: MachineView): void => {
    const moved = views.get(view.id)?.state !== view.state;
    views.set(view.id, view);
    showMachine(document, view, Date.now() + ahead);
    if (moved) reveal(document, view);
  };
  const health = (event: HealthEvent): void => {
    ahead = event.now - Date.now();
    showHealth(document, event);
    for (const view of event.machines) show(view);
  };
  follow(window, {
    live(on) {
      const link = document.querySelector('#link');
      if (!link) return;
      link.dataset['link'] = on ? 'live' : 'lost';
      link.textContent = on ? 'live' : 'reconnecting';
      document.body.classList.toggle('lost', !on);
    },
    snapshot(event) {
      if (event.page !== document.body.dataset['version']) {
        window.location.reload();
        return;
      }
      health(event);
      if (!event.resumed) document.querySelector('#transitions')?.replaceChildren();
      for (const transition of event.transitions) addTransition(document, transition);
      for (const transition of event.transitions) markTaken(document, transition);
    },
    transition({ transition, machine }) {
      addTransition(document, transition);
      markTaken(document, transition);
      show(machine);
    },
    health,
  });
  window.setInterval(() => {
    for (const view of views.values()) showMachine(document, view, Date.now() + ahead);
  }, 250);
}

const FUNCTIONS = [
  follow,
  say,
  fill,
  isActive,
  toneOf,
  markState,
  reveal,
  markTaken,
  showMachine,
  showHealth,
  sayEvent,
  addTransition,
  start,
];

/** The page's script, made of the functions above. */
export const CLIENT = `'use strict';\n(() => {\n${FUNCTIONS.join('\n\n')}\n\nstart(window);\n})();\n`;
