import { IncomingMessage, type RequestListener, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { Writable } from 'node:stream';

export interface Answer {
  readonly status: number;
  readonly headers: Map<string, string>;
  readonly body: string;
  readonly cookie: string | undefined;
}

export interface Dispatched {
  readonly answer: Promise<Answer>;
  /** What has been sent so far. */
  readonly sent: () => string;
}

/** Runs one request through an HTTP handler without any network, keeping every byte that it sends. */
export function dispatch(handler: RequestListener, url: string, cookie?: string): Dispatched {
  const req = new IncomingMessage(new Socket());
  Object.assign(req, { url, method: 'GET', httpVersion: '1.1', httpVersionMajor: 1, httpVersionMinor: 1 });
  if (cookie) req.headers.cookie = cookie;
  req.push(null);
  const res = new ServerResponse(req);
  const chunks: Buffer[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
  res.assignSocket(sink as unknown as Socket);
  const sent = (): string => Buffer.concat(chunks).toString();
  const answer = new Promise<Answer>((resolve) => res.once('finish', () => resolve(parse(sent()))));
  handler(req, res);
  return { answer, sent };
}

function parse(text: string): Answer {
  const [head = '', body = ''] = text.split('\r\n\r\n', 2);
  const [first = '', ...lines] = head.split('\r\n');
  const headers = new Map(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  return {
    status: Number(first.split(' ')[1]),
    headers,
    body,
    cookie: headers.get('set-cookie')?.split(';')[0],
  };
}
