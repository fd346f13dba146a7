import { Router } from 'express';

import { CONSOLE_SCRIPT } from './console-script.ts';
import { CONSOLE_STYLE } from './console-style.ts';

// Text in modules, not files beside them: the compiler copies modules only, and the page must
// also be there in the built package.
const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Redoubt</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/console.css">
<script type="module" src="/console.js"></script>
</head>
<body>
<header>
<h1>Redoubt <span id="status" class="pill" role="status">…</span></h1>
<p id="summary">Asking for /health</p>
<nav><a href="/inspect">Machines, live</a> <a href="/health">Health</a> <a href="/metrics">Metrics</a></nav>
</header>
<main>
<section aria-labelledby="services-title">
<h2 id="services-title">Services</h2>
<div id="services" class="cards"></div>
</section>
<section aria-labelledby="machines-title">
<h2 id="machines-title">Machines</h2>
<div id="machines" class="cards"></div>
</section>
<section aria-labelledby="transitions-title">
<h2 id="transitions-title">Last transitions</h2>
<ol id="transitions"></ol>
</section>
</main>
<footer id="footer"></footer>
<noscript>This page needs JavaScript; <a href="/health">/health</a> says the same without it.</noscript>
</body>
</html>
`;

/** `GET /`: health as a page, with its style and script. */
export function consolePage(): Router {
  const router = Router();
  const serve = (path: string, type: string, text: string): void => {
    router.get(path, (_request, response) => {
      response.type(type).setHeader('Cache-Control', 'no-cache');
      response.send(text);
    });
  };
  serve('/', 'html', PAGE);
  serve('/console.css', 'css', CONSOLE_STYLE);
  serve('/console.js', 'js', CONSOLE_SCRIPT);
  return router;
}
