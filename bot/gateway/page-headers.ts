// Headers of the pages of uploads. No code or style stands in a page, nothing is loaded from elsewhere, and no other page may frame it.

/** Returns the headers of a page whose script may talk to these origins besides the bot's. */
export function pageHeaders(origins: readonly string[]): Record<string, string> {
  const rules = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data: blob:",
    ["connect-src 'self'", ...origins].join(' '),
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ]
  return {
    'Content-Security-Policy': rules.join('; '),
    'Content-Type': 'text/html; charset=utf-8',
    // The address of the page is a secret.
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'X-Robots-Tag': 'noindex',
  }
}
