import type { Plugin } from 'vite';

/**
 * What the built page may do, as a `<meta>`, since a static host may send no headers. Scripts, styles and workers come
 * from the page's own origin only and nothing is evaluated from text; pictures never from elsewhere, so that an answer
 * cannot tell a server what was asked. Models may be downloaded from any https address, and from a server on this device.
 */
const POLICY: Readonly<Record<string, string>> = {
  'default-src': "'none'",
  'script-src': "'self' 'wasm-unsafe-eval'",
  'style-src': "'self'",
  'worker-src': "'self'",
  'img-src': "'self' blob: data:",
  'connect-src': "'self' data: https: http://localhost:* http://127.0.0.1:*",
  'media-src': "'self' blob:",
  'font-src': "'self'",
  'manifest-src': "'self'",
  'base-uri': "'none'",
  'form-action': "'none'",
};

/** Puts the policy into built pages. The development server needs inline scripts for its reloading, and has none. */
export function contentSecurityPolicy(): Plugin {
  return {
    name: 'lavin:content-security-policy',
    apply: 'build',
    transformIndexHtml: () => [
      {
        tag: 'meta',
        attrs: {
          'http-equiv': 'Content-Security-Policy',
          content: Object.entries(POLICY)
            .map(([directive, sources]) => `${directive} ${sources}`)
            .join('; '),
        },
        injectTo: 'head-prepend',
      },
    ],
  };
}
