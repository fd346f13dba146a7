import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  STATUS_CODES,
  request,
} from 'node:http';
import { gunzipSync } from 'node:zlib';

/** Longer than any call of a contender may take; what has not answered by then hangs. */
const DEADLINE_MS = 2_000;

/** Headers that an application's users see; framing, dates and connections are the server's own business. */
const SHOWN = [
  'accept-ranges',
  'allow',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-range',
  'content-type',
  'location',
  'retry-after',
  'vary',
] as const;

/** What a browser got, as plain data that is the same for every store; what goes without saying is left out. */
export interface Answer {
  /** 0: not even a status line came. */
  readonly status: number;
  /** Where it is not the status' own. */
  readonly message?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Set-Cookie, with session ids by the order of their appearance and instants as seconds from now. */
  readonly cookies?: readonly string[];
  /** JSON where it says so, else text. */
  readonly body?: unknown;
  /** Where the answer did not come to its end. */
  readonly ending?: 'cut' | 'no answer';
  /** Statuses that came before this one, such as 103. */
  readonly before?: readonly number[];
  readonly trailers?: Readonly<Record<string, string | undefined>>;
  /** Where a behaviour asks for it by `alsoShow`. */
  readonly also?: Readonly<Record<string, string>>;
}

interface Exchange {
  readonly answer: IncomingMessage | undefined;
  readonly before: readonly number[];
  readonly text: string;
  readonly ending: Ending;
}

type Ending = NonNullable<Answer['ending']> | 'complete';

export interface Sending {
  readonly headers?: OutgoingHttpHeaders;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** In place of the jar's; '' for none. */
  readonly cookie?: string;
  /** Further headers of the answer that this behaviour is about. */
  readonly alsoShow?: readonly string[];
  /** Where an answer may not come: how long to wait for it, in place of two seconds. */
  readonly deadlineMs?: number;
  readonly onChunk?: (text: string) => void;
}

/** Session ids in the order in which they were seen: `sid1`, `sid2`, so that observations can be compared. */
export class Labels {
  readonly #ids: string[] = [];

  of(sid: string): string {
    if (!this.#ids.includes(sid)) this.#ids.push(sid);
    return `sid${this.#ids.indexOf(sid) + 1}`;
  }

  /** Text with the ids replaced that have been seen. */
  in(text: string): string {
    return this.#ids.reduce((seen, sid, i) => seen.replaceAll(sid, `sid${i + 1}`), text);
  }
}

/** A user agent with a cookie jar; it sends each request on a connection of its own. */
export class Browser {
  /** Cookies by name, as sent. */
  readonly jar = new Map<string, string>();
  readonly #url: string;
  readonly #labels: Labels;

  constructor(url: string, labels: Labels) {
    this.#url = url;
    this.#labels = labels;
  }

  /** A second tab: it starts with the same cookies. */
  fork(): Browser {
    const other = new Browser(this.#url, this.#labels);
    for (const [name, value] of this.jar) other.jar.set(name, value);
    return other;
  }

  get cookie(): string {
    return [...this.jar].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  /** The session id in the cookie of this name. */
  sid(name = 'connect.sid'): string {
    return sidOf(this.jar.get(name) ?? '') ?? '';
  }

  get(path: string, sending?: Sending): Promise<Answer> {
    return this.send('GET', path, sending);
  }

  post(path: string, body?: unknown, sending: Sending = {}): Promise<Answer> {
    return this.send('POST', path, { ...sending, body });
  }

  async send(method: string, path: string, sending: Sending = {}): Promise<Answer> {
    const { answer, before, text, ending } = await this.#exchange(method, path, sending);
    const { headers = {}, statusCode: status = 0, statusMessage: message = '' } = answer ?? {};
    const cookies = (headers['set-cookie'] ?? []).map((line) => this.#keep(line));
    const shown = pick(headers, SHOWN);
    const body = this.#bodyOf(headers, text);
    return {
      status,
      ...(message !== (STATUS_CODES[status] ?? '') && { message }),
      ...(Object.keys(shown).length > 0 && { headers: shown }),
      ...(cookies.length > 0 && { cookies }),
      ...(body !== '' && { body }),
      ...(ending !== 'complete' && { ending }),
      ...(before.length > 0 && { before }),
      ...(Object.keys(answer?.trailers ?? {}).length > 0 && { trailers: answer?.trailers }),
      ...(sending.alsoShow && { also: pick(headers, sending.alsoShow) }),
    };
  }

  #exchange(
    method: string,
    path: string,
    { headers, body, cookie = this.cookie, deadlineMs = DEADLINE_MS, onChunk }: Sending,
  ): Promise<Exchange> {
    const content = body === undefined ? undefined : JSON.stringify(body);
    const sent = {
      ...(cookie === '' ? {} : { Cookie: cookie }),
      ...(content === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...headers,
    };
    return new Promise((resolve) => {
      let answer: IncomingMessage | undefined;
      let text = '';
      const before: number[] = [];
      const finish = (ending: Ending): void => {
        clearTimeout(timer);
        resolve({ answer, before, text, ending });
        call.destroy();
      };
      const timer = setTimeout(() => finish('no answer'), deadlineMs);
      const call = request(this.#url + path, { method, headers: sent, agent: false }, (incoming) => {
        answer = incoming;
        incoming.setEncoding('latin1');
        incoming.on('data', (chunk: string) => {
          text += chunk;
          onChunk?.(chunk);
        });
        incoming.once('end', () => finish('complete'));
        incoming.once('error', () => finish('cut'));
      });
      call.on('information', ({ statusCode }) => before.push(statusCode));
      call.once('error', () => finish('cut'));
      call.end(content);
    });
  }

  #bodyOf(headers: IncomingHttpHeaders, latin1: string): unknown {
    const bytes = Buffer.from(latin1, 'latin1');
    const text = (headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString('utf8');
    const labelled = this.#labels.in(text);
    const [, title] = /<title>Error<.title>[^]*<pre>(.*?)(<br>|<.pre>)/.exec(labelled) ?? [];
    if (title) return `Express' page of an error: ${title}`;
    if (text.length > 200) return `${text.length} characters`;
    return headers['content-type']?.includes('json') && text !== '' ? (JSON.parse(labelled) as unknown) : labelled;
  }

  /** Puts a cookie into the jar, or takes it away, and tells what it was. */
  #keep(line: string): string {
    const [pair = '', ...attributes] = line.split('; ');
    const [name = '', value = ''] = pair.split(/=(.*)/s, 2);
    const expires = attributes.find((attribute) => attribute.startsWith('Expires='))?.slice('Expires='.length);
    if (expires !== undefined && Date.parse(expires) <= Date.now()) this.jar.delete(name);
    else this.jar.set(name, value);
    const sid = sidOf(value);
    const shown = attributes.map((attribute) =>
      attribute.startsWith('Expires=') ? `Expires=${fromNow(attribute.slice('Expires='.length))}` : attribute,
    );
    return [`${name}=${sid === undefined ? value : this.#labels.of(sid)}`, ...shown].join('; ');
  }
}

/** The id in a signed cookie's value. */
export function sidOf(value: string): string | undefined {
  return /^s:(.+)\./.exec(decodeURIComponent(value))?.[1];
}

/** An instant as `+3600s`, to ten seconds: what a request takes must not show. */
export function fromNow(instant: string | number | Date): string {
  const seconds = Math.round((new Date(instant).valueOf() - Date.now()) / 10_000) * 10;
  return Math.abs(seconds) > 10 * 365 * 24 * 3600 ? 'long ago' : `${seconds >= 0 ? '+' : ''}${seconds}s`;
}

function pick(headers: IncomingHttpHeaders, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => (headers[name] === undefined ? [] : [[name, String(headers[name])] as const])),
  );
}
