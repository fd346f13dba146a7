import express, { Router } from 'express';

import type { Config } from '../../config/schema.ts';
import type { Jobs } from '../../services/jobs/types.ts';
import { refuse, requireObject, requireText } from '../validate.ts';

const MAX_NAME_LENGTH = 200;

/** `/v1/jobs/:queue`: adds jobs and counts them. */
export function jobsRoutes(jobs: Jobs, config: Config): Router {
  const router = Router();
  const json = express.json({ limit: config.server.bodyLimit });

  router.post('/v1/jobs/:queue', json, async (request, response) => {
    const queue = readQueue(request.params['queue'] as string);
    const { name, data, id } = requireObject(request.body);
    const job = requireText(name, 'name', MAX_NAME_LENGTH);
    const added = await jobs
      .queue(queue)
      .add(job, data ?? null, id === undefined ? {} : { id: requireText(id, 'id', MAX_NAME_LENGTH) });
    response.status(202).json(added);
  });

  router.get('/v1/jobs/:queue', async (request, response) => {
    const counts = await jobs.queue(readQueue(request.params.queue)).counts();
    response.setHeader('Cache-Control', 'no-store');
    response.json(counts);
  });
  return router;
}

/** Narrower than the library's: whoever calls chooses names of queues, and they end up in keys and reports. */
function readQueue(name: string): string {
  if (/^[\w.-]{1,100}$/.test(name)) return name;
  throw refuse('a queue is named with 1 to 100 letters, digits, dots, dashes and underscores');
}
