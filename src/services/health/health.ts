import type { Middleware } from '../../core/middleware.ts';
import type { HealthOptions } from './options.ts';
import { buildReport } from './report.ts';
import { createHealthRouter } from './router.ts';
import type { Health, HealthReport } from './types.ts';

/** The health service: reads machines and services at each question, keeps nothing, waits for nothing. */
export function createHealth(options: HealthOptions): Health {
  const report = (): HealthReport => buildReport(options);
  return {
    report,
    router: (): Middleware => createHealthRouter({ ...options, report }),
  };
}
