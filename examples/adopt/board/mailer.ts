import type { Pool } from 'pg';

/** A queue of mail jobs; BullMQ's and Redoubt's both are one. */
export interface MailQueue {
  add(job: string, data: { id: number }): Promise<unknown>;
}

const SWEEP_EVERY_MS = 2_000;

// Each notice is mailed once, and its row says whether it was. So a job may be lost, refused or run twice: the sweep
// adds it again, and the second run finds nothing to do.

/** Adds the job of a new notice; no visitor waits for the queue, whether it takes the job or not. */
export function queueMail(mail: MailQueue, id: number): void {
  mail.add('posted', { id }).catch((error: Error) => console.error(`The mail of notice ${id} waits: ${error.message}`));
}

/** Adds again, for ever, what has waited for five seconds. */
export async function sweepMail(mail: MailQueue, pool: Pool): Promise<void> {
  try {
    const { rows } = await pool.query<{ id: number }>(
      `select id from notice where mailed_at is null and posted_at < now() - interval '5 seconds' order by id`,
    );
    for (const { id } of rows) await mail.add('posted', { id });
  } catch {
    // The next sweep finds the same rows.
  }
  setTimeout(() => void sweepMail(mail, pool), SWEEP_EVERY_MS).unref();
}

/** What the worker does with a job. */
export function mailWith(pool: Pool): (job: { data: unknown }) => Promise<void> {
  return async ({ data }) => {
    const { id } = data as { id: number };
    const unmailed = 'update notice set mailed_at = now() where id = $1 and mailed_at is null';
    const { rowCount } = await pool.query(unmailed, [id]);
    // Here a real one would talk to its mail server.
    if (rowCount === 1) console.log(`Mailed notice ${id}`);
  };
}
