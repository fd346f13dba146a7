/**
 * What the page's script uses of the browser. The server's compilation knows no DOM, and must not:
 * with its types in scope, `name`, `event` or `document` would compile anywhere in the server.
 */
export interface PageElement {
  textContent: string | null;
  className: string;
  hidden: boolean;
  readonly dataset: Record<string, string | undefined>;
  readonly classList: { add(name: string): void; remove(name: string): void; toggle(name: string, on: boolean): void };
  readonly lastElementChild: PageElement | null;
  readonly childElementCount: number;
  readonly parentElement: PageElement | null;
  querySelector(selector: string): PageElement | null;
  querySelectorAll(selector: string): Iterable<PageElement>;
  getAttribute(name: string): string | null;
  getBoundingClientRect(): {
    readonly left: number;
    readonly top: number;
    readonly width: number;
    readonly height: number;
  };
  closest(selector: string): PageElement | null;
  scrollBy(options: { readonly left: number; readonly behavior: 'smooth' }): void;
  append(...nodes: PageElement[]): void;
  prepend(...nodes: PageElement[]): void;
  replaceChildren(...nodes: PageElement[]): void;
  remove(): void;
}

export interface PageDocument {
  readonly body: PageElement;
  createElement(name: string): PageElement;
  querySelector(selector: string): PageElement | null;
  querySelectorAll(selector: string): Iterable<PageElement>;
}

export interface PageEventSource {
  addEventListener(
    type: string,
    listener: (event: { readonly data: string; readonly lastEventId: string }) => void,
  ): void;
  close(): void;
}

export interface PageWindow {
  readonly document: PageDocument;
  readonly location: { reload(): void };
  readonly EventSource: new (url: string) => PageEventSource;
  setTimeout(fn: () => void, ms: number): number;
  clearTimeout(timer: number | undefined): void;
  setInterval(fn: () => void, ms: number): number;
}
