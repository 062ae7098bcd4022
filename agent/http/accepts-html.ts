// Tells a browser that a person uses from a program.

/** Whether the sender asks for HTML by name. Browsers do when they open an address; the wildcard of curl and of libraries does not. */
export function acceptsHtml(request: Request): boolean {
  return /\btext\/html\b/i.test(request.headers.get('accept') ?? '')
}
