import express, { Router } from 'express';

import type { Config } from '../../config/schema.ts';
import { RedoubtError } from '../../core/errors.ts';
import type { Logger } from '../../observe/log.ts';
import type { Machines } from '../../runtime/types.ts';
import { requireObject, requireText } from '../validate.ts';

const MAX_TYPE_LENGTH = 100;

/** `/v1/machines/:id/events`: what an operator tells a machine. */
export function machinesRoutes(machines: Machines, config: Config, log: Logger): Router {
  const router = Router();
  router.post('/v1/machines/:id/events', express.json({ limit: config.server.bodyLimit }), (request, response) => {
    const machine = machines.all.find(({ id }) => id === request.params['id']);
    if (!machine) throw new RedoubtError('ERR_NOT_FOUND', { message: 'no such machine' });
    const type = requireText(requireObject(request.body)['type'], 'type', MAX_TYPE_LENGTH);
    machines.send(machine.id, { type });
    log.info({ machine: machine.id, type }, 'an operator sent an event');
    response.status(202).json({ machine: machine.id, type, state: machine.state });
  });
  return router;
}
