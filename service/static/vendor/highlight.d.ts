/** The part of highlight.js that the pages use. */
export interface Highlighted {
  /** HTML: spans with the classes `hljs-…`. */
  value: string;
  language?: string;
  /** Not promised by its makers: the mode that the grammar is in at the end. */
  _top?: { parent?: unknown };
}

declare const hljs: {
  highlight(code: string, options: { language: string; ignoreIllegals?: boolean }): Highlighted;
  highlightAuto(code: string, languages?: string[]): Highlighted;
  getLanguage(name: string): object | undefined;
  listLanguages(): string[];
};

export default hljs;
