import { loadConfig } from '../config/load.ts';
import { RedoubtError } from '../core/errors.ts';
import { urlOf } from '../server/listen.ts';
import type { HealthReport } from '../services/health/types.ts';
import { type Command, type Context, EXIT, type Invocation } from './command.ts';
import { statusTable } from './status-table.ts';

const TIMEOUT_MS = 5000;

/** `redoubt status [URL]`. */
export const status: Command = {
  usage: 'status [URL] [--json]',
  description: `Asks a running server for /health (default: http://127.0.0.1:$PORT) and prints it.
API_TOKEN is sent where it is set. Exit code 0 for pass and warn, 1 for fail or no answer within 5 s.`,
  options: {
    json: { type: 'boolean', doc: 'Print the answer as it came.' },
  },
  positionals: 1,
  run: runStatus,
};

async function runStatus({ values, positionals }: Invocation, context: Context): Promise<number> {
  const { server } = loadConfig({ audience: 'server', env: context.env }).config;
  const url = healthUrl(positionals[0] ?? urlOf(server.host, server.port));
  const report = await fetchReport(url, server.apiToken);
  context.out(values['json'] === true ? JSON.stringify(report, null, 2) : statusTable(report, Date.now()));
  return report.status === 'fail' ? EXIT.wrong : EXIT.fine;
}

function healthUrl(text: string): URL {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new RedoubtError('ERR_USAGE', { message: `${text} is no http URL` });
  }
  if (!url.pathname.endsWith('/health')) url.pathname = `${url.pathname.replace(/\/$/, '')}/health`;
  return url;
}

/** @throws {Error} with one sentence when there is no answer, or not one of Redoubt's */
async function fetchReport(url: URL, token: string): Promise<Partial<HealthReport>> {
  const headers: Record<string, string> = token === '' ? {} : { Authorization: `Bearer ${token}` };
  // A password in the URL must not be printed.
  const shown = url.origin + url.pathname;
  let text: string;
  try {
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
    text = await response.text();
  } catch (error) {
    const late = (error as Error).name === 'TimeoutError';
    throw new Error(`${shown} ${late ? `did not answer within ${TIMEOUT_MS / 1000} s` : 'cannot be reached'}`, {
      cause: error,
    });
  }
  const report = parseReport(text);
  if (!report) throw new Error(`${shown} did not answer with a health report`);
  return report;
}

function parseReport(text: string): Partial<HealthReport> | undefined {
  try {
    const report = JSON.parse(text) as Partial<HealthReport> | null;
    return ['pass', 'warn', 'fail'].includes(report?.status ?? '') ? (report ?? undefined) : undefined;
  } catch {
    // Not JSON: something else listens there.
    return undefined;
  }
}
