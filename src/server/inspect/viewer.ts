import { escapeXml } from '../../diagram/escape.ts';

/** What the viewer's script uses of the browser; see dom.ts for why it is said here. */
interface ViewerWindow {
  readonly document: {
    readonly body: { readonly dataset: Record<string, string | undefined> };
    querySelector(selector: string): (ViewerFrame & { textContent: string | null }) | null;
  };
  readonly location: { readonly host: string };
  readonly WebSocket: new (url: string) => ViewerSocket;
  addEventListener(type: 'message', listener: (event: ViewerMessage) => void): void;
  setTimeout(fn: () => void, ms: number): number;
}

interface ViewerMessage {
  readonly data: unknown;
  readonly origin: string;
  readonly source: unknown;
}

interface ViewerFrame {
  readonly contentWindow: { postMessage(message: unknown, origin: string): void } | null;
  readonly dataset: Record<string, string | undefined>;
  src: string;
}

interface ViewerSocket {
  addEventListener(type: 'open' | 'message' | 'close', listener: (event: { readonly data: string }) => void): void;
  close(): void;
}

/**
 * Runs in the browser. The official inspector in the frame says `@statelyai.connected` whenever it
 * has (re)loaded; each time a new socket is opened, which begins with the definitions. Messages go
 * to the origin that spoke, and only where it is one of the configured.
 */
function view(window: ViewerWindow): void {
  const { document } = window;
  const frame = document.querySelector('#inspector');
  const origins = (document.body.dataset['origins'] ?? '').split(' ');
  let socket: ViewerSocket | undefined;
  const say = (text: string): void => {
    const status = document.querySelector('#status');
    if (status) status.textContent = text;
  };
  const attach = (origin: string): void => {
    socket?.close();
    const mine = new window.WebSocket(`ws://${window.location.host}/`);
    socket = mine;
    mine.addEventListener('open', () => say('attached'));
    mine.addEventListener('message', ({ data }) => frame?.contentWindow?.postMessage(JSON.parse(data), origin));
    mine.addEventListener('close', () => {
      if (socket !== mine) return;
      say('Redoubt is gone; trying again');
      window.setTimeout(() => {
        if (socket === mine) attach(origin);
      }, 1000);
    });
  };
  window.addEventListener('message', ({ data, origin, source }) => {
    if (source !== frame?.contentWindow || !origins.includes(origin)) return;
    if ((data as { type?: unknown } | null)?.type === '@statelyai.connected') attach(origin);
  });
  // Not in the markup: a frame that loads faster than this script would say it to nobody, and only once.
  if (frame) frame.src = frame.dataset['src'] ?? '';
}

/** The script of the bridge's page. */
export const VIEWER_SCRIPT = `'use strict';\n(() => {\n${view}\n\nview(window);\n})();\n`;

/** The stylesheet of the bridge's page. */
export const VIEWER_STYLE = `
:root { color-scheme: light dark; }
html, body { height: 100%; margin: 0; }
body { display: flex; flex-direction: column; font: 14px/1.4 system-ui, sans-serif; }
p { margin: 0; padding: 6px 14px; }
iframe { flex: 1; width: 100%; border: 0; }
`;

/**
 * The bridge's page: the official inspector in a frame.
 *
 * @param url - where the inspector is
 * @param origins - origins that the inspector may turn out to have, after redirects
 */
export function renderViewer(url: string, origins: readonly string[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Redoubt · XState inspector</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/viewer.css">
<script src="/viewer.js" defer></script>
</head>
<body data-origins="${escapeXml(origins.join(' '))}">
<p>Redoubt's machines in the official XState inspector: <span id="status" role="status">waiting for it to load (it needs the internet; /inspect does not)</span></p>
<iframe id="inspector" title="XState inspector" data-src="${escapeXml(url)}" referrerpolicy="no-referrer"></iframe>
</body>
</html>
`;
}
