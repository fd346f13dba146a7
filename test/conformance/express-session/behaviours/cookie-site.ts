import type { CookieOptions, SessionOptions } from 'express-session';

import { type Bench, type Site, dataOf } from '../behaviour.ts';

export type Change = (cookie: CookieOptions & { maxAge?: number | null }) => void;

export const HOUR = 3_600_000;

/** A site where `/change` does something to the cookie, and `/count` something to the content. */
export function site(bench: Bench, options: Partial<SessionOptions>, change: Change = () => undefined): Promise<Site> {
  return bench.serve((app) => {
    app.set('trust proxy', 1);
    app.use(bench.session(options));
    app.get('/read', (req, res) => {
      const { originalMaxAge } = req.session.cookie;
      const life = originalMaxAge === null ? null : Math.round(originalMaxAge / 1000);
      res.json({ n: dataOf(req)['n'] ?? null, life });
    });
    app.post('/count', (req, res) => {
      dataOf(req)['n'] = Number(dataOf(req)['n'] ?? 0) + 1;
      res.sendStatus(204);
    });
    app.post('/change', (req, res) => {
      change(req.session.cookie as CookieOptions);
      res.sendStatus(204);
    });
    app.post('/both', (req, res) => {
      change(req.session.cookie as CookieOptions);
      dataOf(req)['n'] = 'both';
      res.sendStatus(204);
    });
  });
}
