import type { Account } from './accounts.ts';
import type { Notice } from './notices.ts';

/** What every page shows. */
export interface Page {
  readonly account: Account | undefined;
  readonly flash: Readonly<Record<string, string[]>>;
  readonly csrfToken: string;
}

/** Text as HTML; a list is joined, and what this function made is not escaped again. */
function html(parts: TemplateStringsArray, ...values: (string | number | Html | readonly Html[])[]): Html {
  const inserted = values.map((value) => {
    if (value instanceof Html) return value.text;
    return typeof value === 'object' ? value.map(({ text }) => text).join('') : escape(String(value));
  });
  return new Html(String.raw({ raw: parts }, ...inserted));
}

class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

function layout({ account, flash, csrfToken }: Page, body: Html): string {
  const messages = Object.entries(flash).flatMap(([type, texts]) =>
    texts.map((text) => html`<p class="flash ${type}">${text}</p>`),
  );
  const corner = account
    ? html`<form method="post" action="/sign-out">
        <input type="hidden" name="csrf" value="${csrfToken}" />${account.name} <button>Sign out</button>
      </form>`
    : html`<a href="/sign-in">Sign in</a> <a href="/sign-up">Sign up</a>`;
  return html`<!doctype html>
    <html lang="en">
      <title>Notice board</title>
      <header><a href="/">Notice board</a> ${corner}</header>
      ${messages} ${body}
    </html>`.text;
}

/** @param seen - the newest notice that this visitor has seen before */
export function boardPage(page: Page, notices: readonly Notice[], seen: number): string {
  const items = notices.map(
    ({ id, author, text }) =>
      html`<li><a href="/notices/${id}">${text}</a> by ${author} ${id > seen ? html`<b>new</b>` : ''}</li>`,
  );
  const script = html`<script src="/socket.io/socket.io.js"></script>
    <script>
      io().on('notice', () => location.reload());
    </script>`;
  return layout(
    page,
    html`<a href="/post">Post a notice</a>
      <ul>
        ${items}
      </ul>
      ${script}`,
  );
}

export function noticePage(page: Page, { author, text }: Notice): string {
  return layout(
    page,
    html`<blockquote>${text}</blockquote>
      by ${author}`,
  );
}

export function postPage(page: Page): string {
  return layout(page, form(page, '/post', html`<textarea name="text"></textarea>`));
}

export function accountPage(page: Page, action: '/sign-in' | '/sign-up'): string {
  const fields = html`<input name="username" /> <input name="password" type="password" />`;
  return layout(page, form(page, action, fields));
}

export function errorPage(page: Page, message: string): string {
  return layout(page, html`<h1>${message}</h1>`);
}

function form({ csrfToken }: Page, action: string, fields: Html): Html {
  return html`<form method="post" action="${action}">
    <input type="hidden" name="csrf" value="${csrfToken}" />
    ${fields} <button>Send</button>
  </form>`;
}
