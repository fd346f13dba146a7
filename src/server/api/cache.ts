import express, { type RequestHandler, Router } from 'express';

import type { Config } from '../../config/schema.ts';
import { RedoubtError } from '../../core/errors.ts';
import { parseDuration } from '../../core/format.ts';
import type { Cache } from '../../services/cache/types.ts';
import { refuse } from '../validate.ts';
import { decodeBody, encodeBody } from './cached-body.ts';

const MAX_TTL_MS = 366 * 86_400_000;

/** `/v1/cache/:key`: values as they were sent, with their content type. */
export function cacheRoutes(cache: Cache, config: Config): Router {
  const router = Router();
  const rawBody: RequestHandler = express.raw({ type: () => true, limit: config.server.bodyLimit });

  router.get('/v1/cache/:key', async (request, response) => {
    const found = await cache.lookup(request.params.key);
    response.setHeader('X-Backend', found.source);
    response.setHeader('Cache-Control', 'no-store');
    if (found.status === 'miss' || found.status === 'unknown') {
      response.setHeader('X-Cache', 'miss');
      throw new RedoubtError(
        'ERR_CACHE_MISS',
        found.status === 'unknown' ? { message: 'as far as memory knows; Redis could not be asked' } : {},
      );
    }
    response.setHeader('X-Cache', found.status);
    const { type, body } = decodeBody(found.value);
    response.setHeader('Content-Type', type);
    response.setHeader('Content-Length', body.length);
    // A stored page must not become a page of ours.
    response.setHeader('Content-Security-Policy', "sandbox; default-src 'none'");
    response.end(body);
  });

  router.put('/v1/cache/:key', rawBody, async (request, response) => {
    const ttlMs = readTtl(request.query['ttl']);
    const body: unknown = request.body;
    const value = encodeBody({
      type: request.headers['content-type'] ?? 'application/octet-stream',
      // Without a body the parser leaves nothing behind; an empty value is a value.
      body: Buffer.isBuffer(body) ? body : Buffer.alloc(0),
    });
    await cache.set(request.params['key'] as string, value, ttlMs === undefined ? {} : { ttlMs });
    response.status(204).end();
  });

  router.delete('/v1/cache/:key', async (request, response) => {
    await cache.delete(request.params.key);
    response.status(204).end();
  });
  return router;
}

function readTtl(text: unknown): number | undefined {
  if (text === undefined) return undefined;
  const ttlMs = typeof text === 'string' ? parseDuration(text) : undefined;
  if (ttlMs !== undefined && ttlMs >= 1 && ttlMs <= MAX_TTL_MS) return Math.floor(ttlMs);
  throw refuse('ttl must be one duration with its unit, such as 250ms, 30s or 2h, of at most 366d');
}
